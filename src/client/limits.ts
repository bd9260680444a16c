/** Of one kind, that a function may ask for: the CLI checks it before it loads any schema. */
export const maxSpares = 100;
