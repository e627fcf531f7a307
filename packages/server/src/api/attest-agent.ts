/** The AttestAgent stream: parameters, then as many challenges and answers as the attestor needs, then the SVID. */
import type { handleBidiStreamingCall } from '@grpc/grpc-js';
import { BonafideError, hasReason, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { x509SvidToProto } from '@bonafide/shared/rpc/codec/x509-svid';
import type {
  AttestAgentRequest__Output,
  _spire_api_server_agent_v1_AttestAgentRequest_Params__Output as Params,
} from '@bonafide/shared/rpc/gen/spire/api/server/agent/v1/AttestAgentRequest';
import type { AttestAgentResponse } from '@bonafide/shared/rpc/gen/spire/api/server/agent/v1/AttestAgentResponse';
import { bidiHandler } from '@bonafide/shared/rpc/handler';
import { readMessages } from '@bonafide/shared/rpc/read-messages';
import { toServiceError } from '@bonafide/shared/rpc/status';
import { writeMessage } from '@bonafide/shared/rpc/write-message';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { callContext } from '../access/call-context.js';
import type { RateLimits } from '../access/rate-limits.js';
import { isRefusal } from '../node-proof/node-notices.js';
import { attestAgent, type AgentAttestationOptions } from '../node-attestation/attest-agent.js';

export interface AttestAgentApiOptions extends AgentAttestationOptions {
  readonly rateLimits: RateLimits;
}

/** For all of it: TPMs are slow, but an open stream of a caller whom nobody knows costs us something. */
const TIME_LIMIT_MS = 60_000;

export function attestAgentHandler(
  options: AttestAgentApiOptions,
): handleBidiStreamingCall<AttestAgentRequest__Output, AttestAgentResponse> {
  return bidiHandler(callContext, async (call, context) => {
    const { peer, signal } = context;
    await options.rateLimits.take('attestation', peer, 1, signal);
    const requests = readMessages(call);
    const next = async (): Promise<AttestAgentRequest__Output> => {
      const { value } = await requests.next();
      if (value === undefined) throw invalidArgument('failed to receive request from stream: it has ended');
      return value;
    };
    let type: string | undefined;
    const attest = async (): Promise<void> => {
      const { data, csr } = checkParams((await next()).params ?? null);
      type = data.type;
      const { agentId, svid, canReattest } = await attestAgent(
        {
          ...data,
          csr,
          address: peer.kind === 'remote' ? peer.address : 'admin socket',
          async challenge(challenge) {
            await writeMessage(call, { challenge }, signal);
            return (await next()).challengeResponse ?? Buffer.alloc(0);
          },
        },
        options,
      );
      context.audit.note({
        subject: { agentId, spiffeId: agentId },
        svid: { type: 'x509', serialNumber: svid.serialNumber, expiresAt: svid.notAfter },
        attestationType: type,
      });
      context.log.info(
        { agent_id: agentId, node_attestor_type: data.type, serial_number: svid.serialNumber },
        'Agent attestation request completed',
      );
      await writeMessage(
        call,
        { result: { svid: x509SvidToProto(svid), reattestable: canReattest } },
        signal,
      );
    };
    try {
      await within(TIME_LIMIT_MS, options.clock, attest());
    } catch (error) {
      const result = isRefusal(error) || hasReason(error, 'agent_quarantined') ? 'denied' : 'failure';
      const { details: reason } = toServiceError(error, context.requestId);
      context.audit.note({ result, attestationType: type?.slice(0, 64), reason });
      throw error;
    }
  });
}

function checkParams(params: Params | null): { data: { type: string; payload: Buffer }; csr: Buffer } {
  const data = params?.data ?? undefined;
  const csr = params?.params?.csr;
  if (params === null) throw malformed('missing params');
  if (data === undefined) throw malformed('missing attestation data');
  if (params.params === null) throw malformed('missing X509-SVID parameters');
  if (csr === undefined || csr.length === 0) throw malformed('missing CSR');
  if (data.type === '') throw malformed('missing attestation data type');
  if (data.payload.length === 0) throw malformed('missing attestation data payload');
  return { data: { type: data.type, payload: data.payload }, csr };
}

function malformed(what: string): BonafideError {
  return invalidArgument(`malformed param: ${what}`);
}

/** The work that is abandoned ends with its stream, which the handler then closes. */
function within<T>(limitMs: number, clock: Clock, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = clock.schedule(limitMs, () => {
      reject(
        new BonafideError('deadline_exceeded', `attestation took longer than ${limitMs / 1000} seconds`),
      );
    });
    work.then(resolve, reject).finally(() => {
      timer.cancel();
    });
  });
}
