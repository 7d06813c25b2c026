import { type Form, type Key, pipelineForm, type RecordForm } from "./written-form.ts";

/** The reference of the written form as Markdown, for docs/pipeline.md; made of the same definition as the checks. */
export function writeReference(): string {
  return sections("The pipeline", pipelineForm)
    .map(({ title, form }) => `### ${title}\n\n${table(form)}\n`)
    .join("\n");
}

interface Section {
  title: string;
  form: RecordForm;
}

/** The record itself, then those within it, each once. */
function sections(title: string, form: RecordForm): Section[] {
  const inner = form.keys.flatMap((key) => {
    const record = recordWithin(key.form);
    return record ? sections(titleOf(key, record), record) : [];
  });
  return [{ title, form }, ...inner];
}

function recordWithin(form: Form): RecordForm | undefined {
  if (form.kind === "record") return form;
  if (form.kind === "list") return recordWithin(form.of);
  return form.kind === "map" ? recordWithin(form.values) : undefined;
}

function titleOf(key: Key, form: RecordForm): string {
  return key.form.kind === "record" ? `\`${key.name}\`` : `${form.what.charAt(0).toUpperCase()}${form.what.slice(1)}`;
}

function table(form: RecordForm): string {
  const rows = form.keys.map(
    (key) => `| \`${key.name}\` | ${cell(valueWords(key.form))} | ${cell(helpWords(key))} | \`${cell(key.example)}\` |`,
  );
  return ["| Key | Value | Meaning | Example |", "| --- | --- | --- | --- |", ...rows].join("\n");
}

function helpWords({ help, required, fallback }: Key): string {
  if (required) return `${help} Required.`;
  return fallback ? `${help} Without it: ${fallback}.` : help;
}

function valueWords(form: Form): string {
  switch (form.kind) {
    case "text":
      return form.grammar.what;
    case "boolean":
      return "`true` or `false`";
    case "list":
      return form.short ? `${valueWords(form.of)}; or a list of these` : `a list of ${valueWords(form.of)}`;
    case "map":
      return form.values.kind === "record"
        ? `${form.what} by its name, see below`
        : `names and values: ${form.names.what}`;
    case "record":
      return "a mapping, see below";
  }
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|");
}
