/** Proves the node once more under the SVID that the agent has: one NodeProof.Prove stream, driven by the attestor. */
import { createHash } from 'node:crypto';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { openBidiStream } from '@bonafide/shared/rpc/client-call';
import type { ProofVerdict__Output as VerdictMessage } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/ProofVerdict';
import type { ServerChannel } from '../agent-identity/server-connection.js';
import type { NodeAttestor } from './node-attestor.js';

export interface ProofVerdict {
  readonly isQuarantined: boolean;
  /** One sentence each, for people. */
  readonly findings: readonly string[];
}

interface ProveNodeOptions {
  readonly channel: ServerChannel;
  readonly attestor: NodeAttestor;
  readonly signal: AbortSignal;
}

/** What the server said in place of a challenge or a verdict; anything else that is thrown is the node's own failure. */
export class ProofRefused extends Error {
  override readonly name = 'ProofRefused';
  override readonly cause: unknown;

  constructor(cause: unknown) {
    super('the server ended the proof');
    this.cause = cause;
  }
}

const LONGEST_PROOF_MS = 60_000;
/** Findings that are worth reading. */
const MOST_FINDINGS = 100;

/** @throws ProofRefused, or BonafideError as the attestor does when the node cannot be proven. */
export async function proveNode({ channel, attestor, signal }: ProveNodeOptions): Promise<ProofVerdict> {
  const certificate = channel.identity?.certificateChain[0];
  if (certificate === undefined || attestor.prove === undefined) {
    throw new BonafideError('failed_precondition', `this agent cannot prove its node by ${attestor.type}`);
  }
  const stream = openBidiStream(channel.client('bonafide.attestation.v1.NodeProof'), 'Prove', {
    deadlineMs: LONGEST_PROOF_MS,
    signal,
  });
  const verdicts: VerdictMessage[] = [];
  const ask = async (request: Parameters<typeof stream.send>[0]): Promise<Buffer | undefined> => {
    try {
      await stream.send(request);
      const { value: answer } = await stream.messages.next();
      if (answer?.step === 'challenge') return answer.challenge;
      if (answer?.verdict) verdicts.push(answer.verdict);
      else throw new BonafideError('internal', 'the server ended the proof without a verdict');
      return undefined;
    } catch (error) {
      throw new ProofRefused(error);
    }
  };
  try {
    const challenge = await ask({ begin: { attestationType: attestor.type } });
    if (challenge !== undefined) {
      await attestor.prove({
        certificateHash: createHash('sha256').update(certificate).digest(),
        challenge,
        send: (answer) => ask({ answer }),
      });
    }
  } finally {
    stream.cancel();
  }
  const [verdict] = verdicts;
  if (verdict === undefined) {
    throw new BonafideError(
      'internal',
      `the attestor ${attestor.type} ended the proof before the server did`,
    );
  }
  return {
    isQuarantined: verdict.isQuarantined,
    findings: verdict.findings.slice(0, MOST_FINDINGS).map(({ text }) => text),
  };
}
