/** Log lines as text, as SPIRE's logger (logrus) writes them: `time="…" level=info msg="…" key=value`. */

/** @param line one JSON object, as the logger makes it. */
export function logTextLine(line: string): string {
  const { time, level, msg, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const pairs = [pair('time', time), pair('level', level)];
  if (msg !== undefined && msg !== '') pairs.push(pair('msg', msg));
  for (const key of Object.keys(fields).sort()) pairs.push(pair(key, fields[key]));
  return `${pairs.join(' ')}\n`;
}

function pair(key: string, value: unknown): string {
  return `${quotedIfNeeded(key)}=${quotedIfNeeded(goText(value))}`;
}

/** As Go prints it: `[a b]` for a list. */
function goText(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return `[${value.map(goText).join(' ')}]`;
  return value === null ? '<nil>' : JSON.stringify(value);
}

function quotedIfNeeded(text: string): string {
  return /^[A-Za-z0-9\-._/@^+]*$/.test(text) ? text : quoted(text);
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['"', '\\"'],
  ['\\', '\\\\'],
  ['\x07', '\\a'],
  ['\b', '\\b'],
  ['\f', '\\f'],
  ['\n', '\\n'],
  ['\r', '\\r'],
  ['\t', '\\t'],
  ['\v', '\\v'],
]);

/** What is no letter, mark, number, punctuation, symbol or space cannot be seen, or turns what stands around it. */
const TO_ESCAPE = /["\\]|[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/gu;

/** Go's `%q`: one line whatever the text, from which nobody can forge another field or another line. */
function quoted(text: string): string {
  return `"${text.replace(TO_ESCAPE, escaped)}"`;
}

function escaped(character: string): string {
  const known = ESCAPES.get(character);
  if (known !== undefined) return known;
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x80) return `\\x${code.toString(16).padStart(2, '0')}`;
  return code < 0x10000
    ? `\\u${code.toString(16).padStart(4, '0')}`
    : `\\U${code.toString(16).padStart(8, '0')}`;
}
