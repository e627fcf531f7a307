/** Identities for a helper, as the Workload API gives them to this process. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { peekTokenExpiry } from './token-expiry.js';
import { callUnary, openServerStream } from '@bonafide/shared/rpc/client-call';
import type { ServiceClient } from '@bonafide/shared/rpc/load-service';
import type { Clock } from '@bonafide/shared/runtime/clock';
import { parseTrustDomainOrId } from '@bonafide/shared/spiffe-id/trust-domain';
import { choiceText, pickIdentity, type IdentityChoice } from '../../helper/helper-entry.js';
import type { DeliveredToken, IdentitySource, IdentityUpdate } from '../../helper/identity-source.js';
import { fetchX509Svids, SECURITY_HEADER } from '../api/workload-call.js';
import { readX509Answer } from '../api/x509-answer.js';
import { createSocketClient, explainUnreachable } from '../workload-socket.js';

interface WorkloadApiSourceOptions {
  readonly socketPath: string;
  readonly clock: Clock;
}

const CALL_LIMIT_MS = 30_000;

export class WorkloadApiSource implements IdentitySource {
  readonly #options: WorkloadApiSourceOptions;

  constructor(options: WorkloadApiSourceOptions) {
    this.#options = options;
  }

  async *identities(signal: AbortSignal): AsyncGenerator<IdentityUpdate, undefined> {
    const { clock, socketPath } = this.#options;
    for await (const response of fetchX509Svids(socketPath, { signal })) {
      const identities = readX509Answer(response, clock.now()).map((svid) => ({
        spiffeId: svid.spiffeId,
        hint: svid.hint === '' ? undefined : svid.hint,
        certificateChain: svid.certificates.map(({ der }) => der),
        privateKey: svid.privateKey,
        notAfter: svid.certificates[0]?.notAfter ?? clock.now(),
        bundle: svid.bundle.map(({ der }) => der),
        federatedBundles: svid.federatedBundles.map(
          ([id, certificates]) => [id, certificates.map(({ der }) => der)] as const,
        ),
      }));
      yield { kind: 'identities', identities };
    }
    return undefined;
  }

  async *jwtBundles(signal: AbortSignal): AsyncGenerator<ReadonlyMap<string, string>, undefined> {
    const client = this.#client();
    try {
      const settings = { signal, metadata: SECURITY_HEADER };
      for await (const { bundles } of openServerStream(client, 'FetchJWTBundles', {}, settings)) {
        const named = Object.entries(bundles).sort(([a], [b]) => (a < b ? -1 : 1));
        yield new Map(named.map(([id, jwks]) => [parseTrustDomainOrId(id), jwks.toString('utf8')]));
      }
    } catch (error) {
      throw explainUnreachable(error, this.#options.socketPath);
    } finally {
      client.close();
    }
    return undefined;
  }

  async jwtSvid(
    audiences: readonly string[],
    choice: IdentityChoice,
    signal: AbortSignal,
  ): Promise<DeliveredToken> {
    const client = this.#client();
    try {
      const request = { audience: [...audiences], spiffeId: choice.spiffeId ?? '' };
      const settings = { signal, deadlineMs: CALL_LIMIT_MS, metadata: SECURITY_HEADER };
      const { svids } = await callUnary(client, 'FetchJWTSVID', request, settings);
      const named = svids.map((svid) => ({ ...svid, hint: svid.hint === '' ? undefined : svid.hint }));
      const picked = pickIdentity(named, choice);
      if (picked === undefined) {
        throw new BonafideError('not_found', `the agent gave no JWT-SVID for ${choiceText(choice)}`);
      }
      return { token: picked.svid, expiresAt: peekTokenExpiry(picked.svid) };
    } catch (error) {
      throw explainUnreachable(error, this.#options.socketPath);
    } finally {
      client.close();
    }
  }

  #client(): ServiceClient<'SpiffeWorkloadAPI'> {
    return createSocketClient(this.#options.socketPath, 'SpiffeWorkloadAPI');
  }
}
