/** Has the server sign a JWT-SVID for an entry: SVID.NewJWTSVID. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import type { JwtSvidRequest, JwtSvidSigner } from '../token-svids/jwt-svid-signer.js';
import { callServer, type ServerCalls } from './call-server.js';

const LIMIT_MS = 30_000;

export class ServerJwtSigner implements JwtSvidSigner {
  readonly #calls: ServerCalls;

  constructor(calls: ServerCalls) {
    this.#calls = calls;
  }

  async sign({ entryId, audience }: JwtSvidRequest, signal: AbortSignal): Promise<string> {
    const { svid } = await callServer(this.#calls, (channel) =>
      callUnary(
        channel.client('spire.api.server.svid.v1.SVID'),
        'NewJWTSVID',
        { entryId, audience: [...audience] },
        { deadlineMs: LIMIT_MS, signal },
      ),
    );
    if (svid === null) throw new BonafideError('internal', 'the server sent no JWT-SVID');
    return svid.token;
  }
}
