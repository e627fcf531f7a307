/** Local users with a role at the socket of teams, and what the server says about rights. */
import { once } from 'node:events';
import { chmodSync } from 'node:fs';
import { runServerProgram } from '@bonafide/server/cli/program';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { canRunAsOthers, spawnAs, type Account } from '@bonafide/testing/run-as';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CONFIG, opsOf, register } from './scoped-admins.js';
import { InProcessServer } from './server-in-process.js';

const MEMBER = 41_001;
const TEAM_GROUP = 42_001;
const GUEST_GROUP = 42_002;

let directory: TemporaryDirectory;
let server: InProcessServer;

beforeAll(async () => {
  directory = createTemporaryDirectory();
  chmodSync(directory.path, 0o755);
  const roles = {
    name: 'locals',
    spiffe_id_prefix: 'spiffe://example.org/alder/',
    verbs: ['read'],
    members: [{ uid: MEMBER }, { gid: TEAM_GROUP }],
  };
  const { access } = CONFIG as { access: { roles: readonly object[] } };
  server = await InProcessServer.start({
    config: {
      ...CONFIG,
      access: {
        roles: [...access.roles, roles] as never,
        socket: { path: directory.join('teams.sock'), mode: '0660', group: GUEST_GROUP },
      },
    },
  });
  await register(server);
});

afterAll(async () => {
  await server[Symbol.asyncDispose]();
  directory.remove();
});

/** Node's own modules only, so that a user who may not read this repository can run it. */
const SCRIPT = String.raw`
const [path, method] = process.argv.slice(1);
const socket = require('node:net').connect(path);
socket.on('error', ({ code }) => { console.log(code); process.exit(0); });
socket.on('connect', () => {
  const session = require('node:http2').connect('http://localhost', { createConnection: () => socket });
  const stream = session.request({ ':method': 'POST', ':path': method, 'content-type': 'application/grpc', te: 'trailers' });
  let bytes = Buffer.alloc(0);
  let status;
  const look = (fields) => { status ??= fields['grpc-status']; };
  stream.on('response', look);
  stream.on('trailers', look);
  stream.on('data', (some) => { bytes = Buffer.concat([bytes, some]); });
  stream.on('close', () => { console.log(status + ' ' + bytes.toString('hex')); session.close(); });
  stream.end(Buffer.alloc(5));
});
`;

/** What a process of that account is told: gRPC status and message, or why it cannot connect. */
async function askAs(account: Account, method: string, socketPath: string): Promise<string> {
  const child = spawnAs(account, process.execPath, ['-e', SCRIPT, socketPath, method], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: '/',
  });
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text));
  await once(child, 'close');
  return said.trim();
}

const COUNT = '/spire.api.server.entry.v1.Entry/CountEntries';
const BAN = '/spire.api.server.agent.v1.Agent/BanAgent';
/** `count: 4`, in its frame. */
const FOUR = '00000000020804';

describe.runIf(canRunAsOthers())('the socket of teams', { timeout: 60_000 }, () => {
  const guests = [GUEST_GROUP];

  it('serves whom a role names by user or by any of its groups, within the role', async () => {
    const path = directory.join('teams.sock');
    const byUid = { uid: MEMBER, gid: 43_000, groups: guests };
    const byGroup = { uid: 41_002, gid: TEAM_GROUP, groups: guests };
    const bySupplementary = { uid: 41_003, gid: 43_000, groups: [...guests, TEAM_GROUP] };
    for (const account of [byUid, byGroup, bySupplementary]) {
      expect(await askAs(account, COUNT, path)).toBe(`0 ${FOUR}`);
      expect(await askAs(account, BAN, path)).toBe('7');
    }
  });

  it('refuses users without a role, and lets nobody connect who is not of its group', async () => {
    const path = directory.join('teams.sock');
    expect(await askAs({ uid: 41_004, gid: 43_000, groups: guests }, COUNT, path)).toBe('7');
    expect(await askAs({ uid: MEMBER, gid: 43_000 }, COUNT, path)).toBe('EACCES');
    expect(await askAs({ uid: MEMBER, gid: 43_000, groups: guests }, COUNT, server.socketPath)).toBe(
      'EACCES',
    );
  });
});

it('a folder in which others may write is refused for it', async () => {
  using open = createTemporaryDirectory();
  chmodSync(open.path, 0o777);
  const config = { access: { socket: { path: open.join('teams.sock') } } };
  await expect(InProcessServer.start({ config })).rejects.toThrow('others may write in');
  const missing = { access: { socket: { path: open.join('none/teams.sock') } } };
  await expect(InProcessServer.start({ config: missing })).rejects.toThrow(
    'make it, so that the group may enter it',
  );
});

async function run(...argv: readonly string[]): Promise<string> {
  const host = createRecordedHost({ input: '', environment: { BONAFIDE_SERVER_SOCKET: server.socketPath } });
  const code = await runServerProgram(['access', ...argv], host);
  return code === 0 ? host.printed.stdout : `${code}: ${host.printed.stderr}`;
}

describe('access explain', { timeout: 60_000 }, () => {
  it.each<[string, readonly string[], readonly string[]]>([
    ['an admin', ['--as', 'spiffe://example.org/alder/chief'], ['Caller : admin: ', 'server.admin_ids']],
    [
      'a member',
      ['--as', opsOf('alder')],
      ['Caller : scoped_admin: a member of access.roles: alder\n', 'Roles  : alder\n'],
    ],
    ['nobody', ['--as', 'spiffe://example.org/web'], ['Caller : nobody to this server\n', 'Roles  : none\n']],
    ['an agent', ['--as', 'spiffe://example.org/spire/agent/join_token/alder-token'], ['Caller : agent: ']],
    ['whoever asks', [], ['Caller : local_admin: uid ']],
    ['a local user', ['--uid', String(MEMBER)], ['Caller : scoped_admin: a member of access.roles: locals']],
    ['a group', ['--uid', '5', '--gid', String(TEAM_GROUP)], ['Roles  : locals']],
  ])('says who %s is', async (_what, flags, parts) => {
    const said = await run('explain', ...flags);
    for (const part of parts) expect(said).toContain(part);
  });

  const as = ['--as', opsOf('alder')];
  it.each<[string, readonly string[], string]>([
    ['an RPC of roles', [...as, '--rpc', COUNT], 'Answer : allowed\nBecause: '],
    [
      'an RPC of operators',
      [...as, '--rpc', BAN],
      'Answer : refused\nBecause: /spire.api.server.agent.v1.Agent/BanAgent is open to local_admin, admin only',
    ],
    [
      'an RPC of another verb',
      ['--uid', String(MEMBER), '--rpc', COUNT.replace('Count', 'BatchDelete').replace('Entries', 'Entry')],
      'takes a role with the verb delete',
    ],
    ['what is not served', [...as, '--rpc', '/x/y'], 'is not served'],
    ['an entry of its own', [...as, '--verb', 'delete', '--entry-id', 'alder-entry-1'], 'Answer : allowed'],
    [
      'an entry of others',
      [...as, '--verb', 'read', '--entry-id', 'birch-entry-1'],
      'to the caller it is not there',
    ],
    [
      'an ID of others',
      [...as, '--verb', 'mint', '--spiffe-id', 'spiffe://example.org/birch/x'],
      'covers SPIFFE IDs under spiffe://example.org/alder/ only',
    ],
    [
      'an ID with rights',
      [...as, '--verb', 'mint', '--spiffe-id', 'spiffe://example.org/alder/chief'],
      'is an admin of the trust domain',
    ],
    [
      'a parent of others',
      [
        ...as,
        '--verb',
        'create',
        '--spiffe-id',
        'spiffe://example.org/alder/x',
        '--parent-id',
        'spiffe://example.org/birch/nodes',
        '--selector',
        'unix:uid:1',
      ],
      'among its parent_ids',
    ],
    ['two questions', [...as, '--verb', 'create', '--rpc', COUNT], 'ask one'],
    ['a verb without an entry', [...as, '--verb', 'create'], 'an entry takes --verb'],
  ])('says what it may do: %s', async (_what, flags, part) => {
    expect(await run('explain', ...flags)).toContain(part);
  });

  it('lists the roles with their members', async () => {
    const said = await run('list');
    expect(said).toContain('Found 5 roles\n');
    expect(said).toContain(`Members          : uid:${MEMBER}, gid:${TEAM_GROUP}\n`);
  });
});
