-- Every event of a log as the record that a relay must make of it, by partition, in order.
select partition, stream, payload::text, json_strip_nulls(json_build_object(
         'ce_specversion', '1.0',
         'ce_id', event_id::text,
         'ce_source', '{service}',
         'ce_type', type,
         'ce_time', to_char(occurred_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
         'ce_subject', stream,
         'ce_correlationid', metadata ->> 'correlation',
         'ce_causationid', metadata ->> 'causation',
         'content-type', 'application/json',
         'traceparent', metadata ->> 'traceparent',
         'daybook-offset', log_offset::text,
         'daybook-epoch', '1',
         'daybook-version', version::text,
         'daybook-schema', schema_version::text,
         'daybook-command', command_id::text,
         'daybook-ordinal', ordinal::text,
         'daybook-actor', metadata ->> 'actor',
         'daybook-recorded', to_char(recorded_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))::text
  from {service}.event
 order by partition, log_offset
