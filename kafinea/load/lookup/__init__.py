"""Finding records that exist: by id, by natural key, by what refers to them."""
