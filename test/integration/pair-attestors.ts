/** The two halves of a node attestor, joined as the AttestAgent stream joins them, without a server around. */
import type { NodeAttestor as AgentHalf } from '@bonafide/agent/node-attestation/node-attestor';
import type { NodeAttestor as ServerHalf, ProvenNode } from '@bonafide/server/node-attestation/node-attestor';

interface Round {
  readonly data: Buffer;
  /** Gives the agent what the server says next: a challenge, or that it is satisfied. */
  readonly reply: PromiseWithResolvers;
}

interface PromiseWithResolvers {
  readonly promise: Promise<Buffer | undefined>;
  readonly resolve: (challenge: Buffer | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** @returns what the server makes of the node. @throws what either half refuses with. */
export async function pairAttestors(agent: AgentHalf, server: ServerHalf): Promise<ProvenNode> {
  const csrHash = Buffer.alloc(32, 7);
  let waiting: ((round: Round) => void) | undefined;
  let open: Round | undefined;
  let verdict: Promise<ProvenNode> | undefined;

  const judge = async (first: Round): Promise<ProvenNode> => {
    open = first;
    return server.attest({
      ...{ payload: first.data, csrHash, now: new Date() },
      recall: () => Promise.resolve(undefined),
      challenge: (data) =>
        new Promise((resolve) => {
          waiting = (round) => {
            open = round;
            resolve(round.data);
          };
          open?.reply.resolve(data);
        }),
    });
  };

  const attested = agent.attest({
    csrHash,
    send: (data) => {
      const round = { data, reply: withResolvers() };
      if (verdict === undefined) {
        verdict = judge(round);
        verdict.then(
          () => open?.reply.resolve(undefined),
          (error: unknown) => open?.reply.reject(error),
        );
      } else waiting?.(round);
      return round.reply.promise;
    },
  });
  await attested;
  if (verdict === undefined) throw new Error('the agent sent nothing');
  return verdict;
}

function withResolvers(): PromiseWithResolvers {
  let [resolve, reject]: [PromiseWithResolvers['resolve'], PromiseWithResolvers['reject']] = [unset, unset];
  const promise = new Promise<Buffer | undefined>((onValue, onError) => {
    [resolve, reject] = [onValue, onError];
  });
  return { promise, resolve, reject };
}

function unset(): never {
  throw new Error('a promise calls its executor at once');
}
