import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { describe, expect, it } from 'vitest';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { runServerProgram } from './program.js';

async function run(...argv: readonly string[]) {
  const host = createRecordedHost();
  const code = await runServerProgram(argv, host);
  return { code, ...host.printed };
}

const CONF =
  'server {\n  trust_domain = "example.org"\n  profiling_port = 1\n}\nplugins { KeyManager "memory" {} }\n';

describe('config of the server', () => {
  it('converts a file of SPIRE to one that is valid, and says what it left out', async () => {
    using folder = createTemporaryDirectory();
    const from = join(folder.path, 'server.conf');
    const output = join(folder.path, 'server.yaml');
    writeFileSync(from, CONF);
    const converted = await run('config', 'convert', '--from', from, '--output', output);
    expect(converted).toMatchObject({ code: 0, stdout: '' });
    expect(converted.stderr).toContain('server.profiling_port (line 3)');
    expect(readFileSync(output, 'utf8')).toMatch(/^# Converted from .*\n# Left out/);
    expect(await run('validate', '--config', output)).toMatchObject({
      code: 0,
      stdout: 'Bonafide server configuration file is valid.\n',
      stderr: '',
    });
    expect(await run('config', 'convert', '--from', from, '--output', output)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('it is there already') as unknown,
    });
  });

  it('says in the file what became of each key that is not simply the same, and why', async () => {
    using folder = createTemporaryDirectory();
    const from = join(folder.path, 'server.conf');
    const lines = [
      'server {',
      '  trust_domain = "example.org"',
      '  log_format = "JSON"',
      '  jwt_issuer = ""',
      '  disable_jwt_svids = false',
      '  profiling_port = 1',
      '  federation { bundle_endpoint { port = 8443 acme { domain_name = "a.example" email = "a@a.example" tos_accepted = true } } }',
      '}',
      'plugins {',
      '  KeyManager "disk" { enabled = false }',
      '  KeyManager "memory" { plugin_data {} }',
      '}',
    ];
    writeFileSync(from, `${lines.join('\n')}\n`);
    const { code, stdout, stderr } = await run('config', 'convert', '--from', from);
    expect({ code, stderr }).toMatchObject({
      code: 0,
      stderr: expect.not.stringContaining('jwt_issuer') as unknown,
    });
    const said = stdout.split('\n').filter((line) => line.startsWith('#'));
    expect(said.slice(1)).toEqual([
      '# Written otherwise here:',
      '#   server.log_format (line 3): now server.log_format: "json"',
      '#   server.federation.bundle_endpoint.acme (line 7): now server.federation.bundle_endpoint.profile.https_web.acme',
      '# Left out, for it has no meaning here:',
      expect.stringMatching(/^# {3}server\.profiling_port \(line 6\): \w/),
      '# Left out, for it says nothing:',
      '#   server.jwt_issuer (line 4): empty',
      '#   server.disable_jwt_svids (line 5): it asks for nothing',
      '#   plugins.KeyManager.disk (line 10): it is switched off',
    ]);
  });

  it('reads a plugin_data_file, and converts it to what stands in it', async () => {
    using folder = createTemporaryDirectory();
    const from = join(folder.path, 'server.conf');
    const data = join(folder.path, 'keys.conf');
    const output = join(folder.path, 'server.yaml');
    const declared = `KeyManager "disk" { plugin_data_file = ${JSON.stringify(data)} }`;
    writeFileSync(from, `server { trust_domain = "example.org" }\nplugins {\n  ${declared}\n}\n`);
    writeFileSync(data, 'keys_path = "/srv/keys.json"\n');
    expect(await run('validate', '--config', from)).toMatchObject({ code: 0, stderr: '' });
    expect(await run('config', 'convert', '--from', from, '--output', output)).toMatchObject({ code: 0 });
    expect(readFileSync(output, 'utf8')).toContain('"keys_path": "/srv/keys.json"');
  });

  it.each([
    [
      'an unknown key',
      'keys_path = "/srv/keys.json"\nunicorn = 1\n',
      /keys\.conf:2:1: .*unicorn: unknown key/,
    ],
    ['a wrong type', 'keys_path = ["a"]\n', /keys\.conf:1:\d+: .*keys_path: expected/],
    [
      'no HCL',
      'keys_path = \n',
      /server\.conf:3:\d+: .*plugin_data_file: .*keys\.conf:2:1: expected a value/,
    ],
    ['too much', `# ${'x'.repeat(1024 * 1024)}`, /plugin_data_file: .*keys\.conf is larger than/],
    ['no text', Buffer.from([0xff]), /plugin_data_file: .*keys\.conf is not UTF-8/],
    ['nothing, for it is not there', undefined, /server\.conf:3:\d+: .*there is no file .*keys\.conf/],
  ])('tells file and line of a plugin_data_file that holds %s', async (_what, content, expected) => {
    using folder = createTemporaryDirectory();
    const from = join(folder.path, 'server.conf');
    const data = join(folder.path, 'keys.conf');
    const declared = `KeyManager "disk" { plugin_data_file = ${JSON.stringify(data)} }`;
    writeFileSync(from, `server { trust_domain = "example.org" }\nplugins {\n  ${declared}\n}\n`);
    if (content !== undefined) writeFileSync(data, content);
    const { code, stderr } = await run('validate', '--config', from);
    expect(code).toBe(1);
    expect(stderr).toMatch(expected);
  });

  it('refuses plugin_data beside plugin_data_file, and reads none of a plugin that is switched off', async () => {
    using folder = createTemporaryDirectory();
    const from = join(folder.path, 'server.conf');
    const write = (plugin: string): void => {
      writeFileSync(
        from,
        `server { trust_domain = "example.org" }\nplugins {\n  KeyManager "memory" {}\n  ${plugin}\n}\n`,
      );
    };
    write('NodeAttestor "x509pop" { plugin_data_file = "/none" enabled = false }');
    expect(await run('validate', '--config', from)).toMatchObject({ code: 0 });
    write('NodeAttestor "x509pop" { plugin_data_file = "/none" plugin_data {} }');
    expect((await run('validate', '--config', from)).stderr).toMatch(
      /only one plugin_data or plugin_data_file/,
    );
  });

  it('warns of secrets in the file that holds them', async () => {
    using folder = createTemporaryDirectory();
    const from = join(folder.path, 'server.conf');
    const data = join(folder.path, 'keys.conf');
    const declared = `UpstreamAuthority "vault" { plugin_data_file = ${JSON.stringify(data)} }`;
    writeFileSync(from, `server { trust_domain = "example.org" }\nplugins {\n  ${declared}\n}\n`, {
      mode: 0o644,
    });
    writeFileSync(data, 'vault_addr = "https://vault.example.org"\ntoken_auth { token = "hunter2" }\n');
    for (const [mode, expected] of [
      [0o600, ''],
      [
        0o644,
        `Warning: ${data} holds secrets (plugins.UpstreamAuthority.vault.token_auth.token) and everybody may read it; run chmod o-r ${data}\n`,
      ],
    ] as const) {
      chmodSync(data, mode);
      expect(await run('validate', '--config', from)).toMatchObject({ code: 0, stderr: expected });
    }
  });

  it('names the program for a file of an agent', async () => {
    using folder = createTemporaryDirectory();
    const from = join(folder.path, 'agent.conf');
    writeFileSync(from, 'agent {\n}\n');
    const { code, stderr } = await run('config', 'convert', '--from', from);
    expect(code).toBe(1);
    expect(stderr).toContain(`run 'bonafide-agent config convert --from ${from}'`);
  });

  it("validates SPIRE's own form and warns once", async () => {
    using folder = createTemporaryDirectory();
    const path = join(folder.path, 'server.conf');
    writeFileSync(path, CONF);
    const { code, stdout, stderr } = await run('validate', '--config', path);
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'Bonafide server configuration file is valid.\n' });
    expect(stderr).toMatch(
      /^Warning: .*one key has no meaning here and was left out: server\.profiling_port \(line 3/,
    );
  });

  it('prints the schema that is published', async () => {
    const published = new URL('../../../../docs/schemas/server.schema.json', import.meta.url);
    expect((await run('config', 'schema')).stdout).toBe(readFileSync(published, 'utf8'));
  });

  it('names the program that has the other schema', async () => {
    expect((await run('config', 'schema', 'agent')).stderr).toContain("run 'bonafide-agent config schema'");
  });
});
