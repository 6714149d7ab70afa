create index product_words_{g} on {schema}.product_{g} using gin (words);
