/** Who is connected to the Workload API now: each process once, with what it would get. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage } from '@bonafide/shared/errors/bonafide-error';
import type { SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { Peer } from '../endpoints/peer.js';
import type { AttestationCall } from '../workload-attestation/attest-workload.js';
import type { HeldProcess } from '../workload-attestation/attested-process.js';
import type { ProcessExplanations } from './explain-process.js';
import { parseProcessStat } from './process-facts.js';

export interface ConnectedProcess {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly name: string | undefined;
  readonly connections: number;
  readonly spiffeIds: readonly SpiffeId[];
  /** Why it cannot be attested; undefined: it can. */
  readonly problem: string | undefined;
}

type Connection = Pick<Peer, 'credentials' | 'holdProcess' | 'isAlive'>;

/** One after the other, by pid. Whoever leaves meanwhile is left out. */
export async function* listConnected(
  peers: Iterable<Connection>,
  explanations: Pick<ProcessExplanations, 'identities'>,
  call: AttestationCall,
): AsyncGenerator<ConnectedProcess, undefined> {
  const byPerson = new Map<string, Connection[]>();
  for (const peer of peers) {
    if (!peer.isAlive()) continue;
    const { gid, pid, uid } = peer.credentials;
    const key = `${pid} ${uid} ${gid}`;
    const known = byPerson.get(key);
    if (known === undefined) byPerson.set(key, [peer]);
    else known.push(peer);
  }
  const people = [...byPerson.values()].toSorted((a, b) => pidOf(a) - pidOf(b));
  for (const ofOne of people) {
    const [peer] = ofOne;
    if (peer?.isAlive() !== true) continue;
    const who = { ...peer.credentials, connections: ofOne.length };
    try {
      const process = peer.holdProcess();
      const name = nameOf(process);
      const { entries, problem } = await explanations.identities(process, call);
      yield { ...who, name, spiffeIds: entries.map(({ spiffeId }) => spiffeId), problem };
    } catch (error) {
      if (call.signal.aborted) throw error;
      if (peer.isAlive()) yield { ...who, name: undefined, spiffeIds: [], problem: errorMessage(error) };
    }
  }
  return undefined;
}

function pidOf(peers: readonly Connection[]): number {
  return peers[0]?.credentials.pid ?? 0;
}

function nameOf({ procPath }: HeldProcess): string | undefined {
  try {
    return parseProcessStat(readFileSync(join(procPath, 'stat'), 'utf8')).name;
  } catch {
    return undefined; // it has just exited, which is found out where it is attested
  }
}
