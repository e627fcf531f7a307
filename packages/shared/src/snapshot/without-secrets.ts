/** Values as they may be shown to whoever looks for a fault: what is secret in a configuration, or looks like it anywhere, is taken out. */
import { isSecretKey } from '../config/exposed-secrets.js';

export const REDACTED = '[redacted]';

/** Settings whose values are free text of others, where a secret has no name to be known by. */
const FREE_TEXT_KEYS: ReadonlySet<string> = new Set(['command', 'cmd_args', 'args', 'headers']);
/** Where a secret lies is none. */
const PLACE = /_(file|path|dir|directory|env|name|ttl|type)$/;
const SECRET_NAME = /(token|secret|passwor[dt]|passphrase|private_?key|credential|api_?key|access_?key)s?$/i;
const DEEPEST = 20;
/** Shorter ones would blot out words that mean nothing. */
const SHORTEST_SECRET = 6;

/** What gives a secret away in a text, and what stays of it. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g, REDACTED],
  // A token signed as RFC 7515 has it in compact form.
  [/\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*/g, REDACTED],
  [/\b([a-z][a-z0-9+.-]*:\/\/)[^/?#\s@]*@/gi, `$1${REDACTED}@`],
  [/\b(https?:\/\/[^\s?#"']*\?)[^\s#"']+/gi, `$1${REDACTED}`],
  [
    /\b([\w-]*(?:password|passwd|pwd|passphrase|secret|token)\s*=\s*)('(?:[^'\\]|\\.)*'|"[^"]*"|[^\s&;'"]+)/gi,
    `$1${REDACTED}`,
  ],
  [/\b(bearer|basic) [A-Za-z0-9+/._~=-]{6,}/gi, `$1 ${REDACTED}`],
];

/** @returns the configuration as plain data, and the secrets that it named, so that they can be looked for elsewhere. */
export function withoutSecrets(config: unknown): {
  readonly shown: unknown;
  readonly secrets: readonly string[];
} {
  const secrets = new Set<string>();
  return { shown: shownValue(config, '', false, secrets, 0), secrets: [...secrets] };
}

/** Plain data in which no text holds one of the secrets, nor anything that looks like one. */
export function scrubbed(value: unknown, secrets: readonly string[]): unknown {
  if (typeof value === 'string') return scrubbedText(value, secrets);
  if (Array.isArray(value)) return value.map((item) => scrubbed(item, secrets));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, scrubbed(item, secrets)]));
}

function scrubbedText(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) clean = clean.replaceAll(secret, REDACTED);
  for (const [pattern, replacement] of PATTERNS) clean = clean.replace(pattern, replacement);
  return clean;
}

function shownValue(
  value: unknown,
  key: string,
  isSecret: boolean,
  secrets: Set<string>,
  depth: number,
): unknown {
  const isHidden = isSecret || hides(key);
  if (value === undefined || value === null || typeof value === 'boolean') return value;
  if (typeof value === 'number' || typeof value === 'bigint') return isHidden ? REDACTED : Number(value);
  if (typeof value === 'string') {
    if (!isHidden) return scrubbedText(value, []);
    if (value.length >= SHORTEST_SECRET) secrets.add(value);
    return value === '' ? '' : REDACTED;
  }
  if (typeof value !== 'object' || depth > DEEPEST) return undefined;
  const inner = (item: unknown, name: string): unknown =>
    shownValue(item, name, isHidden, secrets, depth + 1);
  if (Array.isArray(value) || value instanceof Set) return [...value].map((item) => inner(item, ''));
  const entries = value instanceof Map ? [...(value as ReadonlyMap<unknown, unknown>)] : plainEntries(value);
  // Keys, certificates and the like, which a configuration may have been made into.
  if (entries === undefined) return `[${value.constructor.name}]`;
  return Object.fromEntries(entries.map(([name, item]) => [String(name), inner(item, String(name))]));
}

function plainEntries(value: object): readonly (readonly [unknown, unknown])[] | undefined {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null ? Object.entries(value) : undefined;
}

function hides(key: string): boolean {
  if (isSecretKey(key) || FREE_TEXT_KEYS.has(key)) return true;
  return SECRET_NAME.test(key) && !PLACE.test(key);
}
