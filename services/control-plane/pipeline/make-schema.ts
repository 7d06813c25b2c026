import { type Form, type Key, type MapForm, pipelineForm, type RecordForm, type TextForm } from "./written-form.ts";

type Schema = Record<string, unknown>;

/** The JSON Schema (2020-12) of the written form, for editors; made of the same definition as the checks. */
export function makeSchema(): string {
  const schema = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "A Ritmo pipeline",
    ...schemaOf(pipelineForm),
  };
  return `${JSON.stringify(schema, undefined, 2)}\n`;
}

function schemaOf(form: Form): Schema {
  switch (form.kind) {
    case "text":
      return textSchema(form);
    case "boolean":
      return { type: "boolean" };
    case "list": {
      const list = { type: "array", items: schemaOf(form.of), maxItems: form.max };
      return form.short ? { anyOf: [schemaOf(form.of), list] } : list;
    }
    case "map":
      return mapSchema(form);
    case "record":
      return recordSchema(form);
  }
}

function textSchema({ grammar }: TextForm): Schema {
  const text = { type: "string", pattern: grammar.pattern, maxLength: grammar.maxLength };
  // An editor has lost the spelling by the time it validates; what is spelt right is right as a number as well.
  return grammar.spelt ? { anyOf: [text, { type: ["number", "boolean"] }] } : text;
}

function mapSchema({ names, values, max }: MapForm): Schema {
  return {
    type: "object",
    propertyNames: { pattern: names.pattern, maxLength: names.maxLength },
    additionalProperties: schemaOf(values),
    maxProperties: max,
  };
}

function recordSchema({ keys }: RecordForm): Schema {
  const required = keys.filter((key) => key.required).map((key) => key.name);
  return {
    type: "object",
    properties: Object.fromEntries(
      keys.map((key) => [key.name, { description: describe(key), ...schemaOf(key.form) }]),
    ),
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  };
}

function describe({ help, example, fallback }: Key): string {
  return `${help}${fallback ? ` Without it: ${fallback}.` : ""} Example: ${example}`;
}
