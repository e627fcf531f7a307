/** Secrets that stand in a configuration file itself, for when others may read that file. */

const SECRET_KEYS: ReadonlySet<string> = new Set([
  'join_token',
  'secret_access_key',
  'app_secret',
  'token',
  'approle_secret_id',
  'devid_password',
  'owner_hierarchy_password',
  'endorsement_hierarchy_password',
]);
const DATABASE_KEYS: ReadonlySet<string> = new Set([
  'connection_string',
  'ro_connection_string',
  'url',
  'read_replica_url',
]);
/** `scheme://user:password@`, or a keyword. */
const PASSWORD = /^[a-z]+:\/\/[^/@:]*:[^/@]+@|\bpassword\s*=/i;

/** Whether what a key of that name says is secret, wherever the key stands. */
export function isSecretKey(key: string): boolean {
  return SECRET_KEYS.has(key);
}

/** Dotted names of the keys, never what they say. */
export function secretKeysIn(config: unknown, path = ''): readonly string[] {
  if (typeof config !== 'object' || config === null) return [];
  const prototype: unknown = Object.getPrototypeOf(config);
  if (prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null) return [];
  return Object.entries(config).flatMap(([key, value]: [string, unknown]) => {
    const name = path === '' ? key : `${path}.${key}`;
    if (typeof value !== 'string') return secretKeysIn(value, name);
    const isSecret =
      SECRET_KEYS.has(key) ||
      path.endsWith('OpenTelemetry.headers') ||
      (DATABASE_KEYS.has(key) && PASSWORD.test(value));
    return isSecret && value !== '' ? [name] : [];
  });
}
