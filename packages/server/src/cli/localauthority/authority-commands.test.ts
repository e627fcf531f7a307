import { FakeClock } from '@bonafide/testing/fake-clock';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { startStubServices } from '@bonafide/testing/stub-services';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runServerProgram } from '../program.js';

const SERVICE = 'spire.api.server.localauthority.v1.LocalAuthority';
const EXPIRY = Date.parse('2030-01-02T03:04:05Z') / 1000;

const clock = new FakeClock();

let directory: ReturnType<typeof createTemporaryDirectory>;
beforeEach(() => {
  directory = createTemporaryDirectory();
});
afterEach(() => {
  directory.remove();
});

async function run(answers: Parameters<typeof startStubServices>[1], argv: readonly string[]) {
  const socketPath = directory.join('api.sock');
  await using server = await startStubServices(socketPath, answers);
  const host = createRecordedHost({ clock, environment: { SPIRE_SERVER_PRIVATE_SOCKET: socketPath } });
  const code = await runServerProgram(argv, host);
  return { code, ...host.printed, calls: server.calls };
}

const state = (authorityId: string, upstreamAuthoritySubjectKeyId = '') => ({
  authorityId,
  expiresAt: EXPIRY,
  upstreamAuthoritySubjectKeyId,
});

describe('localauthority show', () => {
  it('prints the three slots as SPIRE does', async () => {
    const answers = {
      [SERVICE]: {
        GetX509AuthorityState: () => ({ active: state('a1', 'f0'), prepared: state('b2'), old: null }),
      },
    };
    const { code, stdout } = await run(answers, ['localauthority', 'x509', 'show']);
    expect(code).toBe(0);
    expect(stdout).toBe(
      [
        'Active X.509 authority:',
        '  Authority ID: a1',
        '  Expires at: 2030-01-02 03:04:05 +0000 UTC',
        '  Upstream authority Subject Key ID: f0',
        '',
        'Prepared X.509 authority:',
        '  Authority ID: b2',
        '  Expires at: 2030-01-02 03:04:05 +0000 UTC',
        '  Upstream authority ID: No upstream authority',
        '',
        'Old X.509 authority:',
        '  No old X.509 authority found',
        '',
      ].join('\n'),
    );
  });

  it.each(['jwt', 'wit'])(
    'prints those of kind %s without an upstream authority, and as JSON',
    async (kind) => {
      const name = kind.toUpperCase();
      const answers = {
        [SERVICE]: { [`Get${name}AuthorityState`]: () => ({ active: state('k'), old: state('j') }) },
      };
      const pretty = await run(answers, ['localauthority', kind, 'show']);
      expect(pretty.stdout).toContain(
        `Active ${name} authority:\n  Authority ID: k\n  Expires at: 2030-01-02 03:04:05 +0000 UTC\n\n`,
      );
      expect(pretty.stdout).toContain(`No prepared ${name} authority found`);
      const json = await run(answers, ['localauthority', kind, 'show', '-output', 'json']);
      expect(JSON.parse(json.stdout)).toEqual({
        active: { authority_id: 'k', expires_at: String(EXPIRY), upstream_authority_subject_key_id: '' },
        old: { authority_id: 'j', expires_at: String(EXPIRY), upstream_authority_subject_key_id: '' },
      });
    },
  );
});

describe.each([
  ['x509', 'X509', 'X.509'],
  ['jwt', 'JWT', 'JWT'],
  ['wit', 'WIT', 'WIT'],
])('localauthority %s', (kind, method, words) => {
  it.each([
    ['activate', 'Activate', 'Activated', 'activatedAuthority', 'activated_authority'],
    ['taint', 'Taint', 'Tainted', 'taintedAuthority', 'tainted_authority'],
    ['revoke', 'Revoke', 'Revoked', 'revokedAuthority', 'revoked_authority'],
  ])('%s names the authority it is about and prints it', async (verb, call, done, field, jsonField) => {
    const answers = { [SERVICE]: { [`${call}${method}Authority`]: () => ({ [field]: state('the-one') }) } };
    const spelt = await run(answers, ['localauthority', kind, verb, '-authorityID', 'the-one']);
    expect(spelt).toMatchObject({ code: 0 });
    expect(spelt.calls).toMatchObject([{ request: { authorityId: 'the-one' } }]);
    expect(spelt.stdout).toMatch(`${done} ${words} authority:\n  Authority ID: the-one\n`);
    const json = await run(answers, [
      ...['localauthority', kind, verb, '--authority-id', 'the-one'],
      ...['--output', 'json'],
    ]);
    expect(JSON.parse(json.stdout)).toMatchObject({ [jsonField]: { authority_id: 'the-one' } });
    const unnamed = await run(answers, ['localauthority', kind, verb]);
    expect(unnamed).toMatchObject({ code: 1, stdout: '' });
    expect(unnamed.stderr).toContain('an authority ID is required');
    expect(unnamed.calls).toEqual([]);
  });

  it('prepare prints what was prepared', async () => {
    const answers = {
      [SERVICE]: { [`Prepare${method}Authority`]: () => ({ preparedAuthority: state('next') }) },
    };
    const { code, stdout } = await run(answers, ['localauthority', kind, 'prepare']);
    expect(code).toBe(0);
    expect(stdout).toMatch(`Prepared ${words} authority:\n  Authority ID: next\n`);
  });
});

describe('upstreamauthority', () => {
  it.each([
    ['taint', 'Taint', 'Tainted'],
    ['revoke', 'Revoke', 'Revoked'],
  ])('%s names the root by its subject key identifier', async (verb, call, done) => {
    const answers = {
      [SERVICE]: { [`${call}X509UpstreamAuthority`]: () => ({ upstreamAuthoritySubjectKeyId: 'abcd' }) },
    };
    const { code, stdout, calls } = await run(answers, ['upstreamauthority', verb, '-subjectKeyID', 'ABCD']);
    expect(code).toBe(0);
    expect(stdout).toBe(`${done} X.509 upstream authority:\n  Subject Key ID: abcd\n`);
    expect(calls).toMatchObject([{ request: { subjectKeyId: 'ABCD' } }]);
    const unnamed = await run(answers, ['upstreamauthority', verb]);
    expect(unnamed).toMatchObject({ code: 1, stdout: '' });
    expect(unnamed.stderr).toContain('Subject Key ID of the X.509 upstream authority is required');
  });
});
