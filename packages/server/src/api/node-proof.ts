/** bonafide.attestation.v1.NodeProof: an attested agent proves its node once more; the verdict is the last message. */
import { invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { findingToProto } from '@bonafide/shared/rpc/codec/node-state';
import { bidiHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { readMessages } from '@bonafide/shared/rpc/read-messages';
import { writeMessage } from '@bonafide/shared/rpc/write-message';
import { callContext, provingAgent } from '../access/call-context.js';
import type { NodeProofs } from '../node-proof/prove-node.js';
import type { FirstMessages } from './request/first-messages.js';

export interface NodeProofApiOptions {
  readonly proofs: NodeProofs;
  readonly firstMessages: FirstMessages;
}

export function createNodeProofHandlers({
  proofs,
  firstMessages,
}: NodeProofApiOptions): Handlers<'bonafide.attestation.v1.NodeProof'> {
  return {
    Prove: bidiHandler(callContext, async (call, context) => {
      const { agentId } = provingAgent(context);
      const { peer, signal } = context;
      if (peer.kind !== 'remote' || peer.svid === undefined)
        throw invalidArgument('a node proves itself over TLS');
      const requests = readMessages(call);
      const first = await firstMessages.of(agentId, requests);
      if (first?.begin === undefined || first.begin === null) {
        throw invalidArgument('the first message of a proof must be begin');
      }
      try {
        const { isQuarantined, findings } = await proofs.prove({
          agentId,
          type: first.begin.attestationType,
          certificateHash: peer.svid.certificateHash,
          async challenge(challenge) {
            await writeMessage(call, { challenge }, signal);
            const { value } = await requests.next();
            if (value?.answer === undefined) throw invalidArgument('a challenge was not answered');
            return value.answer;
          },
        });
        context.audit.note({
          subject: { agentId },
          attestationType: first.begin.attestationType,
          result: isQuarantined ? 'denied' : 'success',
          findings,
        });
        await writeMessage(
          call,
          { verdict: { isQuarantined, findings: findings.map(findingToProto) } },
          signal,
        );
      } catch (error) {
        context.endSoon();
        throw error;
      }
    }),
  };
}
