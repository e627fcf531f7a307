import { readFile, stat, writeFile } from 'node:fs/promises';
import { parseCertificateSigningRequest } from '@bonafide/shared/crypto/certificate-signing-request';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { startStubServices } from '@bonafide/testing/stub-services';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { TestAuthority } from '@bonafide/testing/test-authority';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runServerProgram } from './program.js';

const AGENT = 'spire.api.server.agent.v1.Agent';
const BUNDLE = 'spire.api.server.bundle.v1.Bundle';
const DEBUG = 'spire.api.server.debug.v1.Debug';
const LOGGER = 'spire.api.server.logger.v1.Logger';
const SVID = 'spire.api.server.svid.v1.SVID';

const clock = new FakeClock(new Date('2030-01-01T00:00:00Z'));

let certificate: Buffer;
let pem: string;
beforeAll(async () => {
  ({ certificate } = await TestAuthority.create('example.org'));
  pem = encodePem('CERTIFICATE', certificate);
});

let directory: ReturnType<typeof createTemporaryDirectory>;
beforeEach(() => {
  directory = createTemporaryDirectory();
});
afterEach(() => {
  directory.remove();
});

async function run(answers: Parameters<typeof startStubServices>[1], argv: readonly string[], input = '') {
  const socketPath = directory.join('api.sock');
  await using server = await startStubServices(socketPath, answers);
  const host = createRecordedHost({ clock, input, environment: { SPIRE_SERVER_PRIVATE_SOCKET: socketPath } });
  const code = await runServerProgram(argv, host);
  return { code, ...host.printed, calls: server.calls };
}

describe('token generate', () => {
  const answers = { [AGENT]: { CreateJoinToken: () => ({ value: 'secret', expiresAt: 1_893_456_600 }) } };

  it('prints the token, and warns when it has no name', async () => {
    const plain = await run(answers, ['token', 'generate']);
    expect(plain).toMatchObject({ code: 0, stdout: 'Token: secret\nWarning: Missing SPIFFE ID.\n' });
    expect(plain.calls[0]?.request).toMatchObject({ ttl: 600, agentId: null });
    const named = await run(answers, [
      'token',
      'generate',
      '-ttl',
      '60',
      '-spiffeID',
      'spiffe://example.org/node',
    ]);
    expect(named.stdout).toBe('Token: secret\n');
    expect(named.calls[0]?.request).toMatchObject({
      ttl: 60,
      agentId: { trustDomain: 'example.org', path: '/node' },
    });
    const json = await run(answers, ['token', 'generate', '-output', 'json']);
    expect(json.stdout).toBe('{"expires_at":"1893456600","value":"secret"}\n');
  });

  it.each([
    [['-ttl', '0'], 'expected a whole number from 1 to 2147483647'],
    [['-ttl', '1h'], 'expected a whole number'],
    [['-spiffeID', 'node'], 'SPIFFE ID must start with spiffe://'],
    [['-output', 'xml'], 'expected pretty or json'],
  ])('refuses %j', async (flags, message) => {
    const { code, stderr } = await run(answers, ['token', 'generate', ...flags]);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });
});

describe('bundle', () => {
  const bundle = () => ({
    trustDomain: 'example.org',
    x509Authorities: [{ asn1: certificate }],
    sequenceNumber: 2,
    refreshHint: 60,
  });
  const ok = { status: { code: 0, message: 'OK' } };

  it('shows the own bundle in either form', async () => {
    const answers = { [BUNDLE]: { GetBundle: bundle } };
    expect((await run(answers, ['bundle', 'show'])).stdout).toBe(pem);
    const spiffe = JSON.parse((await run(answers, ['bundle', 'show', '-format', 'spiffe'])).stdout) as object;
    expect(spiffe).toMatchObject({
      spiffe_sequence: 2,
      spiffe_refresh_hint: 60,
      keys: [{ use: 'x509-svid', x5c: [certificate.toString('base64')] }],
    });
    const json = JSON.parse((await run(answers, ['bundle', 'show', '-output', 'json'])).stdout) as object;
    expect(json).toEqual({
      trust_domain: 'example.org',
      x509_authorities: [{ asn1: certificate.toString('base64'), tainted: false }],
      jwt_authorities: [],
      wit_authorities: [],
      refresh_hint: '60',
      sequence_number: '2',
    });
    expect((await run(answers, ['bundle', 'show', '-format', 'der'])).stderr).toContain(
      'expected one of pem, spiffe',
    );
  });

  it('lists the others, titled, or one', async () => {
    const answers = {
      [BUNDLE]: {
        ListFederatedBundles: () => ({
          bundles: [
            { ...bundle(), trustDomain: 'a.example' },
            { ...bundle(), trustDomain: 'b.example' },
          ],
        }),
        GetFederatedBundle: bundle,
      },
    };
    const title = (name: string): string => `${'*'.repeat(40)}\n* ${name}\n${'*'.repeat(40)}\n`;
    expect((await run(answers, ['bundle', 'list'])).stdout).toBe(
      `${title('a.example')}${pem}\n${title('b.example')}${pem}`,
    );
    const one = await run(answers, ['bundle', 'list', '-id', 'spiffe://a.example']);
    expect(one.stdout).toBe(pem);
    expect(one.calls[0]?.request).toMatchObject({ trustDomain: 'a.example' });
    expect((await run({ [BUNDLE]: { ListFederatedBundles: () => ({}) } }, ['bundle', 'list'])).stdout).toBe(
      '',
    );
  });

  it('sets one from a file, from standard input, and from a SPIFFE document', async () => {
    const answers = { [BUNDLE]: { BatchSetFederatedBundle: () => ({ results: [ok] }) } };
    const path = directory.join('other.pem');
    await writeFile(path, pem);
    const fromFile = await run(answers, ['bundle', 'set', '-id', 'spiffe://other.example', '-path', path]);
    expect(fromFile).toMatchObject({ code: 0, stdout: 'bundle set.\n' });
    expect(fromFile.calls[0]?.request).toMatchObject({
      bundle: [{ trustDomain: 'other.example', x509Authorities: [{ asn1: certificate }] }],
    });
    expect((await run(answers, ['bundle', 'set', '-id', 'other.example'], pem)).calls).toEqual(
      fromFile.calls,
    );
    const document = (await run({ [BUNDLE]: { GetBundle: bundle } }, ['bundle', 'show', '-format', 'spiffe']))
      .stdout;
    const fromDocument = await run(
      answers,
      ['bundle', 'set', '-id', 'other.example', '-format', 'spiffe'],
      document,
    );
    expect(fromDocument.calls[0]?.request).toMatchObject({
      bundle: [{ sequenceNumber: 2, refreshHint: 60 }],
    });
  });

  it.each([
    [['bundle', 'set'], '', 'a trust domain is required; add --id'],
    [['bundle', 'set', '-id', 'other.example'], 'nonsense', 'PEM'],
    [
      ['bundle', 'set', '-id', 'other.example', '-format', 'spiffe'],
      '{}',
      'bundle document has no "keys" array',
    ],
    [['bundle', 'set', '-id', 'Other'], '', "trust domain has 'O' at position 0"],
    [['bundle', 'set', '-id', 'a', '-path', '/nowhere/x.pem'], '', 'cannot read /nowhere/x.pem: ENOENT'],
    [['bundle', 'delete'], '', 'a trust domain is required; add --id'],
    [['bundle', 'delete', '-id', 'a', '-mode', 'force'], '', 'expected one of restrict, delete, dissociate'],
  ])('refuses %j', async (argv, input, message) => {
    const { code, stderr, calls } = await run(
      { [BUNDLE]: { BatchSetFederatedBundle: () => ({}) } },
      argv,
      input,
    );
    expect({ code, calls }).toEqual({ code: 1, calls: [] });
    expect(stderr).toContain(message);
  });

  it('deletes one', async () => {
    const answers = { [BUNDLE]: { BatchDeleteFederatedBundle: () => ({ results: [ok] }) } };
    const { stdout, calls } = await run(answers, [
      'bundle',
      'delete',
      '-id',
      'spiffe://a.example',
      '-mode',
      'dissociate',
    ]);
    expect(stdout).toBe('bundle deleted.\n');
    expect(calls[0]?.request).toMatchObject({ trustDomains: ['a.example'], mode: 'DISSOCIATE' });
  });

  it('reports failures', async () => {
    const results = [{ status: { code: 13, message: 'no luck' }, trustDomain: 'a.example' }];
    const answers = {
      [BUNDLE]: {
        BatchDeleteFederatedBundle: () => ({ results }),
        BatchSetFederatedBundle: () => ({ results }),
      },
    };
    expect(await run(answers, ['bundle', 'delete', '-id', 'a.example'])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'Error: failed to delete federated bundle "a.example": no luck\n',
    });
    expect(await run(answers, ['bundle', 'set', '-id', 'a.example'], pem)).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'Error: failed to set federated bundle: no luck\n',
    });
  });

  it('counts', async () => {
    expect(
      (await run({ [BUNDLE]: { CountBundles: () => ({ count: 1 }) } }, ['bundle', 'count'])).stdout,
    ).toBe('1 bundle\n');
    expect(
      (await run({ [BUNDLE]: { CountBundles: () => ({ count: 2 }) } }, ['bundle', 'count'])).stdout,
    ).toBe('2 bundles\n');
  });
});

describe('x509 mint', () => {
  const expiresAt = clock.now().getTime() / 1000 + 3600;
  const answers = () => ({
    [SVID]: { MintX509SVID: () => ({ svid: { certChain: [certificate], expiresAt } }) },
    [BUNDLE]: { GetBundle: () => ({ trustDomain: 'example.org', x509Authorities: [{ asn1: certificate }] }) },
  });
  const argv = [
    'x509',
    'mint',
    '-spiffeID',
    'spiffe://example.org/db',
    '-dns',
    'a.example.org',
    '-dns',
    'b.example.org',
  ];

  it('asks with a CSR for the names given and prints what came', async () => {
    const { code, stdout, stderr, calls } = await run(answers(), [...argv, '-ttl', '1h']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(
      /^X509-SVID:\n-----BEGIN CERTIFICATE-----\n[^]*\nPrivate key:\n-----BEGIN PRIVATE KEY-----\n[^]*\nRoot CAs:\n-----BEGIN CERTIFICATE-----\n[^]*-----\n\n$/,
    );
    const { csr, ttl } = calls[0]?.request as { csr: Buffer; ttl: number };
    expect(ttl).toBe(3600);
    expect(parseCertificateSigningRequest(csr)).toMatchObject({
      uriNames: ['spiffe://example.org/db'],
      dnsNames: ['a.example.org', 'b.example.org'],
    });
  });

  it('prints JSON as SPIRE does', async () => {
    const { stdout } = await run(answers(), [...argv, '-output', 'json']);
    const json = JSON.parse(stdout) as Record<string, unknown>;
    expect(Object.keys(json)).toEqual(['x509_svid', 'private_key', 'root_cas']);
    expect(json['x509_svid']).toEqual([certificate.toString('base64')]);
  });

  it('writes files, the key for its owner alone', async () => {
    const { code, stdout } = await run(answers(), [...argv, '-write', directory.path]);
    expect(code).toBe(0);
    expect(stdout).toBe(
      `X509-SVID written to ${directory.join('svid.pem')}\nPrivate key written to ${directory.join('key.pem')}\nRoot CAs written to ${directory.join('bundle.pem')}\n`,
    );
    expect(await readFile(directory.join('svid.pem'), 'utf8')).toBe(pem);
    expect((await stat(directory.join('key.pem'))).mode & 0o777).toBe(0o600);
    expect((await stat(directory.join('svid.pem'))).mode & 0o777).toBe(0o644);
  });

  it('warns when the server gave less time than asked for', async () => {
    const { stderr } = await run(answers(), [...argv, '-ttl', '2h']);
    expect(stderr).toBe(
      'X509-SVID lifetime was capped shorter than specified ttl; expires "2030-01-01T01:00:00Z"\n',
    );
  });

  it.each([
    [['x509', 'mint'], 'a SPIFFE ID is required'],
    [[...argv, '-ttl', '-1h'], 'expected a positive duration'],
    [[...argv, '-ttl', '60'], '"60" is not a duration'],
    [[...argv, '-write', '/nowhere/at/all'], 'cannot write /nowhere/at/all/svid.pem'],
  ])('refuses %j', async (line, message) => {
    const { code, stderr } = await run(answers(), line);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });
});

describe('debug getinfo', () => {
  it('prints what the server told', async () => {
    const info = {
      svidChain: [
        {
          id: { trustDomain: 'example.org', path: '/spire/server' },
          expiresAt: 1_893_456_000,
          subject: 'C=US,O=SPIRE',
        },
        { id: null, expiresAt: 1_893_459_600, subject: 'CN=root' },
      ],
      uptime: 93_784,
      agentsCount: 1,
      entriesCount: 2,
      federatedBundlesCount: 3,
    };
    const { stdout } = await run({ [DEBUG]: { GetInfo: () => info } }, ['debug', 'getinfo']);
    expect(stdout).toBe(`Server Debug Info:
  Uptime:                  26h3m4s
  Registered Agents:       1
  Registration Entries:    2
  Federated Bundles:       3
  SVID Chain:
    [0] SPIFFE ID:  spiffe://example.org/spire/server
        Subject:    C=US,O=SPIRE
        Expires At: 2030-01-01T00:00:00Z
    [1] SPIFFE ID:  (none)
        Subject:    CN=root
        Expires At: 2030-01-01T01:00:00Z
`);
  });
});

describe('logger', () => {
  const logger = { currentLevel: 'WARN', launchLevel: 'INFO' };
  const text = 'Logger Level : warning\nLaunch Level : info\n\n';

  it('prints the levels by the names of logrus', async () => {
    expect((await run({ [LOGGER]: { GetLogger: () => logger } }, ['logger', 'get'])).stdout).toBe(text);
    expect((await run({ [LOGGER]: { ResetLogLevel: () => logger } }, ['logger', 'reset'])).stdout).toBe(text);
    const set = await run({ [LOGGER]: { SetLogLevel: () => logger } }, [
      'logger',
      'set',
      '-level',
      'WARNING',
    ]);
    expect(set.stdout).toBe(text);
    expect(set.calls[0]?.request).toEqual({ newLevel: 'WARN' });
    expect(
      (await run({ [LOGGER]: { GetLogger: () => logger } }, ['logger', 'get', '-output', 'json'])).stdout,
    ).toBe('{"current_level":"WARN","launch_level":"INFO"}\n');
  });

  it('needs a level it knows', async () => {
    expect((await run({ [LOGGER]: {} }, ['logger', 'set'])).stderr).toBe(
      'Error: a level is required; add --level, for example debug\n',
    );
    expect((await run({ [LOGGER]: {} }, ['logger', 'set', '-level', 'loud'])).stderr).toContain(
      'expected one of panic, fatal, error',
    );
  });
});

describe('validate', () => {
  async function validate(text: string, ...flags: readonly string[]) {
    const path = directory.join('server.yaml');
    await writeFile(path, text);
    const host = createRecordedHost({ environment: { TD: 'example.org' } });
    const code = await runServerProgram(['validate', '-config', path, ...flags], host);
    return { code, path, ...host.printed };
  }

  it('accepts a good file', async () => {
    expect(await validate('server: { trust_domain: example.org }')).toMatchObject({
      code: 0,
      stdout: 'Bonafide server configuration file is valid.\n',
      stderr: '',
    });
    expect(await validate('server: { trust_domain: $TD }', '-expandEnv')).toMatchObject({ code: 0 });
    expect(await validate('', '-trustDomain', 'example.org', '-serverPort', '0')).toMatchObject({ code: 0 });
  });

  it('tells all problems of a bad one', async () => {
    const { code, path, stderr } = await validate(
      'server:\n  trust_domain: EXAMPLE\n  bind_prot: 1\n',
      '-logLevel',
      'loud',
    );
    expect(code).toBe(1);
    expect(stderr).toContain('Error: Bonafide server configuration file is invalid: ');
    expect(stderr).toContain(`${path}:2:17: server.trust_domain: trust domain has 'E' at position 0`);
    expect(stderr).toContain(`${path}:3:3: server.bind_prot: unknown key; did you mean bind_port?`);
    expect(stderr).toContain(`${path}: --log-level: "loud" is no log level`);
  });

  it.each(['none.yaml', 'none.conf'])('says that there is no %s', async (name) => {
    const host = createRecordedHost();
    expect(await runServerProgram(['run', '-config', directory.join(name)], host)).toBe(1);
    expect(host.printed.stderr).toBe(
      `Error: there is no configuration file ${directory.join(name)}; name it with --config\n`,
    );
  });
});
