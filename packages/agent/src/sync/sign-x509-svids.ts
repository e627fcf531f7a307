/** Has the server sign the CSRs of a batch: SVID.BatchNewX509SVID. */
import { BonafideError, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { errorFromStatusProto } from '@bonafide/shared/rpc/status';
import type { ServerChannel, ServerChannels } from '../agent-identity/server-connection.js';
import type { SigningRequest, SigningResult, X509SvidSigner } from '../svid-renewal/x509-svid-signer.js';

interface ServerSignerOptions {
  readonly connection: ServerChannels;
  readonly reportRefusal: (error: unknown, channel: ServerChannel) => void;
}

const LIMIT_MS = 30_000;

export class ServerSigner implements X509SvidSigner {
  readonly #options: ServerSignerOptions;

  constructor(options: ServerSignerOptions) {
    this.#options = options;
  }

  async sign(requests: readonly SigningRequest[], signal: AbortSignal): Promise<readonly SigningResult[]> {
    const { connection, reportRefusal } = this.#options;
    const channel = connection.channel();
    try {
      const { results } = await callUnary(
        channel.client('spire.api.server.svid.v1.SVID'),
        'BatchNewX509SVID',
        { params: [...requests] },
        { deadlineMs: LIMIT_MS, signal },
      );
      return results.map(({ status, svid }): SigningResult => {
        const error = errorFromStatusProto(status);
        if (error !== undefined) return { kind: 'refused', error };
        if (svid !== null) return { kind: 'signed', certificateChain: svid.certChain };
        return { kind: 'refused', error: new BonafideError('internal', 'the server sent no SVID') };
      });
    } catch (error) {
      reportRefusal(error, channel);
      if (hasReason(error, 'unavailable', 'deadline_exceeded')) connection.discard(channel);
      throw error;
    }
  }
}
