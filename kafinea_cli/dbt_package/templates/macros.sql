{% macro kafinea_exists(relation) -%}
    {#- The rows that the loader has not marked as deleted. With `hard_delete`, it deletes them. -#}
    {%- set names = get_columns_in_query("select * from " ~ relation) if execute else [] -%}
    {{ '"_sdc_deleted_at" is null' if "_sdc_deleted_at" in names else "true" }}
{%- endmacro %}

{% macro kafinea_is_deleted(deletions, module, id, modified=none) -%}
    {#- Whether the tap has found a record to be deleted, and not restored since. -#}
    exists (
        select 1
        from {{ deletions }} as deletions
        where deletions.module = '{{ module | replace("'", "''") }}'
          and deletions.id = {{ id }}
          and deletions.detected_at is not null
          {%- if modified %}
          and (deletions.detected_at > {{ modified }} or {{ modified }} is null)
          {%- endif %}
    )
{%- endmacro %}

{% macro kafinea_list(values) -%}
    (
    {%- for value in values -%}
        '{{ value | replace("'", "''") }}'{{ ', ' if not loop.last }}
    {%- endfor -%}
    )
{%- endmacro %}

{% test kafinea_relationships(model, column_name, to) %}
    {#- The ids that none of several models has. -#}
    select {{ column_name }} as id
    from {{ model }}
    where {{ column_name }} is not null
    {%- for target in to %}
      and {{ column_name }} not in (select id from {{ target }})
    {%- endfor %}
{% endtest %}
