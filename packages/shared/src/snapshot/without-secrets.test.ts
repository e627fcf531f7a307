import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { REDACTED, scrubbed, withoutSecrets } from './without-secrets.js';

const SECRET = 'hunter2-hunter2';
const privateKey = makeKeyPair('ec', { namedCurve: 'P-256' })
  .privateKey.export({ format: 'pem', type: 'pkcs8' })
  .toString();

const HIDING_PLACES: readonly (readonly [string, unknown])[] = [
  ['a join token', { agent: { join_token: SECRET } }],
  ['a token of Vault', { plugins: { UpstreamAuthority: { vault: { token_auth: { token: SECRET } } } } }],
  ['a secret of a cloud', { aws_s3: { secret_access_key: SECRET, region: 'eu' } }],
  [
    'a client secret in any spelling',
    { msi: { appSecret: SECRET, app_secret: SECRET, clientSecret: SECRET } },
  ],
  ['a password of a TPM', { tpm: { owner_hierarchy_password: SECRET } }],
  ['headers', { telemetry: { OpenTelemetry: { headers: { 'x-api': SECRET } } } }],
  ['a database address', { datastore: { url: `postgres://user:${SECRET}@db/bonafide?sslmode=require` } }],
  ['a user name that is the secret', { url: `https://${SECRET}@host/path` }],
  ['words of a connection', { connection_string: `host=db password=${SECRET} user=x` }],
  ['quoted words of a connection', { connection_string: `host=db password='${SECRET} \\' more' user=x` }],
  ['the query of an address', { webhook: { url: `https://host/hook?sig=${SECRET}` } }],
  ['arguments of a command', { helpers: [{ on_change: { command: ['reload', '--key', SECRET] } }] }],
  ['a list of passwords', { passwords: [SECRET, [SECRET]] }],
  ['a map', new Map([['token', SECRET]])],
  ['a header in a text', { note: `Authorization: Bearer ${SECRET}` }],
];

describe('a configuration without its secrets', () => {
  it.each(HIDING_PLACES)('hides %s', (_what, config) => {
    expect(JSON.stringify(withoutSecrets(config).shown)).not.toContain('hunter2');
  });

  it('hides keys and tokens wherever they are, whole or cut off', () => {
    const jwt = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from('{"sub":"x"}').toString('base64url')}.c2ln`;
    const config = { a: privateKey, b: [privateKey.slice(0, 90)], c: { motto: `it is ${jwt}` } };
    const shown = JSON.stringify(withoutSecrets(config).shown);
    for (const part of ['PRIVATE', privateKey.slice(30, 60), jwt]) expect(shown).not.toContain(part);
  });

  it('keeps what is none: places, numbers, switches', () => {
    const config = {
      agent: { join_token_file: '/etc/token', trust_domain: 'example.org', limits: { max: 3 }, sds: false },
      datastore: { url: 'postgres://db/bonafide' },
      bundle: { url: 'https://example.com/bundle.json' },
    };
    expect(withoutSecrets(config)).toEqual({ shown: config, secrets: [] });
  });

  it('shows objects that are no plain data by their kind alone', () => {
    class SecretKey {
      readonly bytes = SECRET;
    }
    expect(withoutSecrets({ key: new SecretKey(), ids: new Set(['a']) }).shown).toEqual({
      key: '[SecretKey]',
      ids: ['a'],
    });
  });

  it('takes what it hid out of everything else, such as lines of a log', () => {
    const { secrets } = withoutSecrets({ join_token: SECRET });
    const lines = { lines: [{ msg: `refused ${SECRET}`, deep: [SECRET] }, `cut ${SECRET}`] };
    expect(scrubbed(lines, secrets)).toEqual({
      lines: [{ msg: `refused ${REDACTED}`, deep: [REDACTED] }, `cut ${REDACTED}`],
    });
  });

  it('shows no value of a secret key, whatever is around it', () => {
    fc.assert(
      fc.property(
        fc.jsonValue({ maxDepth: 3 }),
        fc.constantFrom('token', 'join_token', 'password'),
        (value, key) => {
          const config = { before: value, [key]: { nested: [SECRET, value] }, list: [{ [key]: SECRET }] };
          expect(JSON.stringify(withoutSecrets(config).shown)).not.toContain(SECRET);
        },
      ),
    );
  });
});
