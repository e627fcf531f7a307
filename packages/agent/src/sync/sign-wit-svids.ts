/** Has the server sign WIT-SVIDs for the public keys of a batch: SVID.BatchNewWITSVID. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { errorFromStatusProto } from '@bonafide/shared/rpc/status';
import type { WitSigningRequest, WitSigningResult, WitSvidSigner } from '../token-svids/wit-svid-signer.js';
import { callServer, type ServerCalls } from './call-server.js';

const LIMIT_MS = 30_000;

export class ServerWitSigner implements WitSvidSigner {
  readonly #calls: ServerCalls;

  constructor(calls: ServerCalls) {
    this.#calls = calls;
  }

  async sign(
    requests: readonly WitSigningRequest[],
    signal: AbortSignal,
  ): Promise<readonly WitSigningResult[]> {
    const { results } = await callServer(this.#calls, (channel) =>
      callUnary(
        channel.client('spire.api.server.svid.v1.SVID'),
        'BatchNewWITSVID',
        {
          params: requests.map(({ entryId, publicKey, algorithm }) => ({
            entryId,
            publicKey,
            signingAlgorithm: algorithm,
          })),
        },
        { deadlineMs: LIMIT_MS, signal },
      ),
    );
    return results.map(({ status, svid }): WitSigningResult => {
      const error = errorFromStatusProto(status);
      if (error !== undefined) return { kind: 'refused', error };
      if (svid !== null) return { kind: 'signed', token: svid.token };
      return { kind: 'refused', error: new BonafideError('internal', 'the server sent no WIT-SVID') };
    });
  }
}
