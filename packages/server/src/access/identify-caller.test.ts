import { BonafideError, errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { RegistrationEntry } from '@bonafide/shared/registration/registration-entry';
import { parseSpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { FakeClock } from '@bonafide/testing/fake-clock';
import { describe, expect, it } from 'vitest';
import { exampleEntry, exampleNode } from '../store/example-records.js';
import type { AttestedNode } from '../store/node-record.js';
import type { AccessRole } from './access-role.js';
import { AccessRoles } from './access-roles.js';
import { CallerIdentification, type AllowedCallers } from './identify-caller.js';
import type { Peer } from './peer.js';

const METHOD = '/some.Service/Method';
const agentId = parseSpiffeId('spiffe://example.org/spire/agent/join_token/x');
const workloadId = parseSpiffeId('spiffe://example.org/web');
const adminId = parseSpiffeId('spiffe://other.test/admin');

const entry: RegistrationEntry = {
  ...exampleEntry(),
  id: 'one',
  spiffeId: workloadId,
  parentId: agentId,
  revisionNumber: 0,
  createdAt: new Date(0),
};

const node = exampleNode({ agentId, serialNumber: 'aa', expiresAt: new Date('2030-01-01T01:00:00Z') });

interface World {
  readonly node?: AttestedNode;
  /** What another server has written, and this one has not heard of yet. */
  readonly nodeElsewhere?: AttestedNode;
  readonly isDatabaseLost?: boolean;
  readonly entries?: readonly RegistrationEntry[];
  readonly roles?: readonly AccessRole[];
}

async function identify(peer: Peer, allowed: AllowedCallers, world: World = {}): Promise<string> {
  const activated: string[] = [];
  let known = world.node;
  const identification = new CallerIdentification({
    directory: {
      node: (id) => (id === agentId ? known : undefined),
      entriesWithSpiffeId: (id) => (world.entries ?? []).filter(({ spiffeId }) => spiffeId === id),
    },
    activateRenewedSvid: (_agentId, serialNumber) => {
      activated.push(serialNumber);
      return Promise.resolve();
    },
    followClosely: () => {
      if (world.isDatabaseLost === true) return Promise.reject(new BonafideError('unavailable', 'lost'));
      known = world.nodeElsewhere ?? known;
      return Promise.resolve();
    },
    adminIds: new Set([adminId]),
    localAdminUids: new Set([0, 1000]),
    roles: new AccessRoles(world.roles ?? []),
    defaultTtls: { x509Seconds: 3600, jwtSeconds: 300 },
    clock: new FakeClock(),
  });
  try {
    const { kind } = await identification.identify(METHOD, allowed, peer);
    return [kind, ...activated.map((serialNumber) => `activated ${serialNumber}`)].join(', ');
  } catch (error) {
    if (hasReason(error, 'unavailable')) return 'unavailable';
    expect(errorMessage(error)).toBe(`authorization denied for method ${METHOD}`);
    return hasReason(error, 'permission_denied')
      ? 'denied'
      : hasReason(error, 'agent_banned')
        ? 'banned'
        : reasonOf(error);
  }
}

function reasonOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'reason' in error ? String(error.reason) : 'not ours';
}

function withSvid(id: typeof agentId, serialNumber = 'aa', notAfter = node.expiresAt): Peer {
  return {
    kind: 'remote',
    address: '192.0.2.1',
    svid: { spiffeId: id, serialNumber, notAfter, certificateHash: Buffer.alloc(32) },
  };
}

const stranger: Peer = { kind: 'remote', address: '192.0.2.1', svid: undefined };
const all: AllowedCallers = ['local_admin', 'admin', 'agent', 'downstream'];

describe('CallerIdentification', () => {
  it('knows an agent that another server attested, or whose SVID it renewed, a moment ago', async () => {
    expect(await identify(withSvid(agentId), ['agent'], { nodeElsewhere: node })).toBe('agent');
    const renewed = { ...node, nextSerialNumber: 'bb' };
    expect(await identify(withSvid(agentId, 'bb'), ['agent'], { node, nodeElsewhere: renewed })).toBe(
      'agent, activated bb',
    );
    const banned = { ...node, isBanned: true };
    expect(await identify(withSvid(agentId), ['agent'], { nodeElsewhere: banned })).toBe('banned');
  });

  it('sends no agent away for good while it cannot ask the database', async () => {
    expect(await identify(withSvid(agentId), ['agent'], { isDatabaseLost: true })).toBe('unavailable');
    expect(await identify(withSvid(agentId, 'bb'), ['agent'], { node, isDatabaseLost: true })).toBe(
      'unavailable',
    );
    expect(await identify(withSvid(agentId), ['agent'], { node, isDatabaseLost: true })).toBe('agent');
  });

  it('asks nobody who they are where anyone may call', async () => {
    expect(await identify(stranger, 'anyone')).toBe('anonymous');
    expect(await identify(withSvid(agentId), 'anyone')).toBe('anonymous');
  });

  it('takes only the owners of the admin socket for local admins, and only where they are allowed', async () => {
    expect(await identify({ kind: 'local', uid: 1000, pid: 7 }, all)).toBe('local_admin');
    expect(await identify({ kind: 'local', uid: 0, pid: 7 }, ['local_admin'])).toBe('local_admin');
    expect(await identify({ kind: 'local', uid: 1001, pid: 7 }, all)).toBe('denied');
    expect(await identify({ kind: 'local', uid: 0, pid: 7 }, ['admin', 'agent'])).toBe('denied');
  });

  it('refuses a caller without a certificate wherever somebody is asked for', async () => {
    expect(await identify(stranger, all)).toBe('denied');
  });

  it('knows an agent by its current SVID', async () => {
    expect(await identify(withSvid(agentId), ['agent'], { node })).toBe('agent');
    expect(await identify(withSvid(agentId), ['admin', 'local_admin'], { node })).toBe('denied');
  });

  it('takes a renewed SVID into use when it first sees it', async () => {
    const renewed = { ...node, nextSerialNumber: 'bb', nextExpiresAt: node.expiresAt };
    expect(await identify(withSvid(agentId, 'aa'), ['agent'], { node: renewed })).toBe('agent');
    expect(await identify(withSvid(agentId, 'bb'), ['agent'], { node: renewed })).toBe('agent, activated bb');
    expect(await identify(withSvid(agentId, 'cc'), ['agent'], { node: renewed })).toBe('agent_not_active');
  });

  it('lets an agent in quarantine do only what the table says that it may', async () => {
    const quarantined = { ...node, quarantine: { since: new Date(0), findings: [] } };
    expect(await identify(withSvid(agentId), ['agent'], { node: quarantined })).toBe('agent_quarantined');
    expect(await identify(withSvid(agentId), all, { node: quarantined })).toBe('agent_quarantined');
    expect(await identify(withSvid(agentId), ['agent', 'quarantined_agent'], { node: quarantined })).toBe(
      'quarantined_agent',
    );
    expect(await identify(withSvid(agentId), ['agent', 'quarantined_agent'], { node })).toBe('agent');
    const banned = { ...quarantined, isBanned: true };
    expect(await identify(withSvid(agentId), ['quarantined_agent', 'agent'], { node: banned })).toBe(
      'banned',
    );
  });

  it('tells an agent why it is refused', async () => {
    const banned = { ...node, isBanned: true, serialNumber: undefined };
    expect(await identify(withSvid(agentId), ['agent'], { node: banned })).toBe('banned');
    expect(await identify(withSvid(agentId), ['agent'])).toBe('agent_not_attested');
    const expired = withSvid(agentId, 'aa', new Date('2029-12-31T23:59:59Z'));
    expect(await identify(expired, ['agent'], { node })).toBe('agent_expired');
  });

  it('finds admins in the configuration and in entries, and downstreams in entries', async () => {
    expect(await identify(withSvid(adminId), all)).toBe('admin');
    expect(await identify(withSvid(workloadId), all, { entries: [entry] })).toBe('agent_not_attested');
    expect(await identify(withSvid(workloadId), all, { entries: [{ ...entry, isAdmin: true }] })).toBe(
      'admin',
    );
    const downstream = { ...entry, isDownstream: true };
    expect(await identify(withSvid(workloadId), all, { entries: [downstream] })).toBe('downstream');
    expect(await identify(withSvid(workloadId), ['admin'], { entries: [downstream] })).toBe('denied');
    const both = [downstream, { ...entry, isAdmin: true }];
    expect(await identify(withSvid(workloadId), ['downstream'], { entries: both })).toBe('downstream');
    expect(await identify(withSvid(workloadId), ['local_admin', 'admin'], { entries: both })).toBe('admin');
  });

  it('does not listen to an entry that has ended, nor to an SVID that has expired since the connection was made (invariant 10)', async () => {
    const ended = { ...entry, isAdmin: true, expiresAt: new Date('2029-12-31T00:00:00Z') };
    expect(await identify(withSvid(workloadId), ['admin'], { entries: [ended] })).toBe('denied');
    const expired = withSvid(adminId, 'aa', new Date('2029-12-31T00:00:00Z'));
    expect(await identify(expired, ['admin'])).toBe('denied');
  });
});
