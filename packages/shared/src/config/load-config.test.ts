import fc from 'fast-check';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { parseSpiffeId } from '../spiffe-id/spiffe-id.js';
import { parseTrustDomain } from '../spiffe-id/trust-domain.js';
import { durationSchema } from './duration.js';
import { loadConfig, parseConfig, type LoadConfigOptions } from './load-config.js';
import { parsedString } from './parsed-string.js';

const schema = z.strictObject({
  server: z.strictObject({
    trust_domain: parsedString(parseTrustDomain),
    bind_port: z.int().min(1).max(65_535).default(8081),
    log_level: z.enum(['debug', 'info']).default('info'),
    ca_ttl: durationSchema.optional(),
    admin_ids: z.array(parsedString(parseSpiffeId)).default([]),
    ca_subject: z.strictObject({ country: z.array(z.string()).min(1) }).optional(),
  }),
  plugins: z
    .record(
      z.string(),
      z.union([z.strictObject({ disk: z.string() }), z.strictObject({ memory: z.boolean() })]),
    )
    .optional(),
});

function problemsOf(text: string, options: LoadConfigOptions = {}): string {
  try {
    parseConfig('server.yaml', text, schema, options);
  } catch (error) {
    expect(error).toHaveProperty('reason', 'invalid_argument');
    return (error as Error).message;
  }
  throw new Error('expected the configuration to be refused');
}

describe('parseConfig', () => {
  it('reads YAML', () => {
    expect(parseConfig('x', 'server:\n  trust_domain: example.org\n  ca_ttl: 24h\n', schema)).toEqual({
      server: {
        trust_domain: 'example.org',
        bind_port: 8081,
        log_level: 'info',
        ca_ttl: 86_400,
        admin_ids: [],
      },
    });
  });

  it('reads JSON, tabs and all', () => {
    const text = '{\n\t"server": {\n\t\t"trust_domain": "example.org",\n\t\t"bind_port": 9000\n\t}\n}\n';
    expect(parseConfig('x', text, schema).server.bind_port).toBe(9000);
  });

  it('tells every problem at once, each with its line and column', () => {
    const text = [
      'server:',
      '  trust_domain: Example.org',
      '  bind_prot: 8081',
      '  bind_port: 70000',
      '  log_level: loud',
      '  ca_ttl: 5 days',
      '  admin_ids: [spiffe://example.org/a, http://example.org/b]',
      '  ca_subject: { country: [] }',
      'plugin: {}',
    ].join('\n');
    expect(problemsOf(text).split('\n')).toEqual([
      'server.yaml has 8 problems',
      expect.stringMatching(
        /^ {2}server\.yaml:2:17: server\.trust_domain: trust domain has 'E' at position 0/,
      ),
      '  server.yaml:3:3: server.bind_prot: unknown key; did you mean bind_port?',
      '  server.yaml:4:14: server.bind_port: expected at most 65535, found 70000',
      '  server.yaml:5:14: server.log_level: expected one of "debug", "info", found "loud"',
      expect.stringMatching(/^ {2}server\.yaml:6:11: server\.ca_ttl: "5 days" is not a duration/),
      expect.stringMatching(
        /^ {2}server\.yaml:7:39: server\.admin_ids\.1: SPIFFE ID must start with spiffe:\/\//,
      ),
      '  server.yaml:8:26: server.ca_subject.country: expected at least 1 item, found 0',
      '  server.yaml:9:1: plugin: unknown key; did you mean plugins?',
    ]);
  });

  it.each([
    [
      'a missing key at the group that lacks it',
      'server:\n  bind_port: 1\n',
      'server.yaml:1:1: server.trust_domain: is missing; expected text',
    ],
    [
      'a missing group at the start',
      'plugins: {}\n',
      'server.yaml:1:1: server: is missing; expected a group of keys',
    ],
    ['an empty file', '', 'server.yaml: server: is missing; expected a group of keys'],
    ['a list for a group', '- 1\n', 'server.yaml:1:1: expected a group of keys, found a list'],
    ['a wrong type', 'server: 5\n', 'server.yaml:1:9: server: expected a group of keys, found 5'],
    [
      'an empty value',
      'server:\n  trust_domain:\n',
      'server.yaml:2:16: server.trust_domain: expected text, found nothing',
    ],
    [
      'an unknown key far from any',
      'server: { trust_domain: a }\nzzzzzzzz: 1\n',
      'server.yaml:2:1: zzzzzzzz: unknown key; accepted are server, plugins',
    ],
    [
      'a union',
      'server: { trust_domain: a }\nplugins: { K: 7 }\n',
      'server.yaml:2:15: plugins.K: found 7, expected a group of keys',
    ],
    [
      'a duplicate key',
      'server:\n  trust_domain: a\n  trust_domain: b\n',
      'server.yaml:3:3: this key is there twice in the same group',
    ],
    [
      'a duplicate key in JSON',
      '{"server": {}, "server": {}}',
      'server.yaml:1:16: this key is there twice in the same group',
    ],
    [
      'two documents',
      'server: { trust_domain: a }\n---\nb: 1\n',
      'server.yaml:2:1: a second document starts here; expected one',
    ],
  ])('points at %s', (_, text, expected) => {
    expect(problemsOf(text)).toBe(expected);
  });

  it('says where the syntax breaks', () => {
    expect(problemsOf('server: {\n  a: [1, 2\n')).toMatch(/server\.yaml:3:1: not valid YAML or JSON: /);
  });

  it('refuses a document that expands without end', () => {
    const bomb = [
      'a: &a [x,x,x,x,x,x,x,x,x]',
      ...'bcdefghi'.split('').map((name, i) => {
        const before = 'abcdefgh'[i] ?? '';
        return `${name}: &${name} [${Array.from({ length: 9 }, () => `*${before}`).join(',')}]`;
      }),
    ].join('\n');
    expect(problemsOf(bomb)).toContain('Excessive alias count');
  });

  it('takes environment variables when asked to', () => {
    const text = 'server:\n  trust_domain: ${TD}\n  bind_port: $PORT # costs $$5\n';
    const environment = { TD: 'example.org', PORT: '9000' };
    expect(parseConfig('x', text, schema, { environment }).server).toMatchObject({
      trust_domain: 'example.org',
      bind_port: 9000,
    });
    expect(problemsOf(text)).toContain("trust domain has '$' at position 0");
  });

  it('names a variable that is not set when something is wrong', () => {
    expect(problemsOf('server:\n  trust_domain: $TD\n', { environment: {} })).toContain(
      'environment variable TD is not set and was taken as empty',
    );
  });

  it('lets flags win over the file and names the flag when its value is wrong', () => {
    const override = (value: unknown) => [{ path: ['server', 'bind_port'], value, flag: '--server-port' }];
    const text = 'server:\n  trust_domain: example.org\n  bind_port: 1\n';
    expect(parseConfig('x', text, schema, { overrides: override(7) }).server.bind_port).toBe(7);
    expect(problemsOf(text, { overrides: override(-7) })).toBe(
      'server.yaml: --server-port: expected at least 1, found -7',
    );
    const domain = [{ path: ['server', 'trust_domain'], value: 'a.org', flag: '--trust-domain' }];
    expect(parseConfig('x', '', schema, { overrides: domain }).server.trust_domain).toBe('a.org');
  });

  it('answers any text with a configuration or a clear refusal', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.string({ unit: fc.constantFrom(...Array.from('server: trust_domain\n-{}[]"\'&*!|>%@#,?\t $')) }),
        ),
        (text) => {
          expect(problemsOf(text, { environment: {} })).toMatch(/^server\.yaml/);
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe('loadConfig', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bonafide-config-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true });
  });

  async function written(name: string, content: string | Buffer): Promise<string> {
    const path = join(folder, name);
    await writeFile(path, content);
    return path;
  }

  it('reads a file', async () => {
    const path = await written('a.yaml', 'server: { trust_domain: example.org }');
    await expect(loadConfig(path, schema)).resolves.toMatchObject({
      server: { trust_domain: 'example.org' },
    });
  });

  it('says which file is not there', async () => {
    await expect(loadConfig(join(folder, 'none.yaml'), schema)).rejects.toThrow(
      `there is no configuration file ${join(folder, 'none.yaml')}; name it with --config`,
    );
  });

  it('refuses a folder, a huge file, bytes that are no text, and HCL', async () => {
    await expect(loadConfig(folder, schema)).rejects.toThrow(/cannot read .*: EISDIR/);
    await expect(
      loadConfig(await written('big.yaml', Buffer.alloc(1024 * 1024 + 1, 32)), schema),
    ).rejects.toThrow(/is larger than 1048576 bytes/);
    await expect(
      loadConfig(await written('bytes.yaml', Buffer.from([0xff, 0xfe, 0x80])), schema),
    ).rejects.toThrow(/is not UTF-8 text/);
    await expect(loadConfig(await written('server.conf', 'server {}'), schema)).rejects.toThrow(
      /is in SPIRE's HCL format, which is not read here/,
    );
  });
});
