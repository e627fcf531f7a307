/** The agent's half of the scripted attestor: attests, proves itself and listens, over real TLS. */
import { createHash } from 'node:crypto';
import { callUnary, openBidiStream } from '@bonafide/shared/rpc/client-call';
import type { NodeState__Output } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/NodeState';
import type { ProofVerdict__Output } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/ProofVerdict';
import type { ServiceClient } from '@bonafide/shared/rpc/load-service';
import type { ScriptedAnswer, ScriptedNode } from './scripted-attestor.js';
import type { Attested, InProcessServer } from './server-in-process.js';

const PROOF = 'bonafide.attestation.v1.NodeProof';
const ADMISSION = 'bonafide.attestation.v1.NodeAdmission';
const SYNC = 'bonafide.sync.v1.Sync';

export type ProofStream = ReturnType<typeof openBidiStream<ServiceClient<typeof PROOF>, 'Prove'>>;
type WatchStream = ReturnType<typeof openBidiStream<ServiceClient<typeof SYNC>, 'Watch'>>;

export function attestNode(server: InProcessServer, node: ScriptedNode): Promise<Attested> {
  return server.attest(JSON.stringify(node), undefined, 'scripted');
}

/** Begun, and not answered yet. */
export async function beginProof(
  server: InProcessServer,
  agent: Attested,
): Promise<{ readonly stream: ProofStream; readonly nonce: string }> {
  const stream = openBidiStream(await server.remote(PROOF, agent), 'Prove', { deadlineMs: 30_000 });
  await stream.send({ begin: { attestationType: 'scripted' } });
  const { value } = await stream.messages.next();
  return { stream, nonce: value?.challenge?.toString() ?? '' };
}

export function answerTo(nonce: string, agent: Attested, node: ScriptedNode): Buffer {
  const [leaf] = agent.certificateChain;
  const boundTo = createHash('sha256')
    .update(leaf ?? '')
    .digest('hex');
  return Buffer.from(JSON.stringify({ ...node, nonce, boundTo } satisfies ScriptedAnswer));
}

/** @throws BonafideError as the server refused. */
export async function prove(
  server: InProcessServer,
  agent: Attested,
  node: ScriptedNode,
): Promise<ProofVerdict__Output> {
  const { stream, nonce } = await beginProof(server, agent);
  await stream.send({ answer: answerTo(nonce, agent, node) });
  return verdictOf(stream);
}

export async function verdictOf(stream: ProofStream): Promise<ProofVerdict__Output> {
  const { value } = await stream.messages.next();
  if (value?.verdict === undefined || value.verdict === null)
    throw new Error('the proof ended without a verdict');
  return value.verdict;
}

/** Open, and past its snapshot. */
export async function watch(
  server: InProcessServer,
  agent: Attested,
): Promise<{ readonly stream: WatchStream; readonly entries: readonly string[] }> {
  const stream = openBidiStream(await server.remote(SYNC, agent), 'Watch');
  await stream.send({ hello: { agentVersion: '' } });
  const { value } = await stream.messages.next();
  return { stream, entries: value?.snapshotPage?.entries.map(({ id }) => id) ?? [] };
}

export function stateOf(server: InProcessServer, agent: Attested): Promise<NodeState__Output> {
  return callUnary(server.local(ADMISSION), 'GetNodeState', { id: wireId(agent) });
}

/** Of whatever it showed last. */
export async function release(server: InProcessServer, agent: Attested): Promise<void> {
  const { digest } = await stateOf(server, agent);
  await callUnary(server.local(ADMISSION), 'ReleaseAgent', { id: wireId(agent), digest });
}

export function wireId({ spiffeId }: Attested): { trustDomain: string; path: string } {
  return { trustDomain: 'example.org', path: new URL(spiffeId).pathname };
}
