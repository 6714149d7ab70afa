select generation from {schema}.generation
 where projection = $1
   and (state = 'building'
        or state = 'old' and version = $2
           and generation < (select max(generation) from {schema}.generation
                              where projection = $1 and version = $2 and state = 'old'))
