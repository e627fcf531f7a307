/** Has the server sign the CSRs of a batch: SVID.BatchNewX509SVID. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { errorFromStatusProto } from '@bonafide/shared/rpc/status';
import { SVID_SECONDS_LEFT } from '@bonafide/shared/rpc/svid-seconds-left';
import type { SigningRequest, SigningResult, X509SvidSigner } from '../svid-renewal/x509-svid-signer.js';
import { callServer, type ServerCalls } from './call-server.js';

const LIMIT_MS = 30_000;

export class ServerSigner implements X509SvidSigner {
  readonly #calls: ServerCalls;

  constructor(calls: ServerCalls) {
    this.#calls = calls;
  }

  async sign(
    requests: readonly SigningRequest[],
    secondsLeft: number | undefined,
    signal: AbortSignal,
  ): Promise<readonly SigningResult[]> {
    const metadata = secondsLeft === undefined ? undefined : { [SVID_SECONDS_LEFT]: String(secondsLeft) };
    const { results } = await callServer(this.#calls, (channel) =>
      callUnary(
        channel.client('spire.api.server.svid.v1.SVID'),
        'BatchNewX509SVID',
        { params: [...requests] },
        { deadlineMs: LIMIT_MS, signal, metadata },
      ),
    );
    return results.map(({ status, svid }): SigningResult => {
      const error = errorFromStatusProto(status);
      if (error !== undefined) return { kind: 'refused', error };
      if (svid !== null) return { kind: 'signed', certificateChain: svid.certChain };
      return { kind: 'refused', error: new BonafideError('internal', 'the server sent no SVID') };
    });
  }
}
