// What shells pass on to `docker --format`, `gh --template` and the like: the keywords and functions of Go templates.
const GO_TEMPLATE =
  /^(if|else|end|range|with|define|template|block|break|continue|and|call|html|index|slice|js|json|len|not|or|print|printf|println|urlquery|eq|ne|lt|le|gt|ge|join|split|table|tablerow|tablerender|lower|upper|title|pad|truncate|timeago|timefmt|color|autocolor|pluck|hyperlink)\b/;

/**
 * The first `{{ … }}` in a text that is an expression of the language; undefined where there is none. A Go template,
 * such as `{{.Names}}` or `{{json .}}`, is none: it begins with no name, or with one of its own words.
 */
export function findExpression(text: string): { start: number; end: number; inner: string } | undefined {
  for (let start = text.indexOf("{{"); start >= 0; start = text.indexOf("{{", start + 2)) {
    const end = text.indexOf("}}", start);
    if (end < 0) return undefined;
    const inner = text.slice(start + 2, end).trim();
    if (/^!?\s*[A-Za-z_(]/.test(inner) && !GO_TEMPLATE.test(inner)) return { start, end: end + 2, inner };
  }
  return undefined;
}
