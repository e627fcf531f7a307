/** Where `shadow` asks SPIRE's server: at its admin socket, or over TCP under the SVID of an admin. */
import { resolve } from 'node:path';
import { BonafideError, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { createMutualTlsCredentials, mutualTlsChannelOptions } from '@bonafide/shared/rpc/mutual-tls-channel';
import { serverId, trustDomainOf } from '@bonafide/shared/spiffe-id/spiffe-id';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { WorkloadIdentity } from '../../authority/upstream/spire/read-workload-identity.js';
import { fetchWorkloadIdentity } from '../../authority/upstream/spire/workload-identity.js';
import { ServerConnection } from '../server-connection.js';
import { loadIdentityFiles } from './identity-files.js';

export interface SpireSourceFlags {
  readonly spireSocket?: string;
  readonly spireAddress?: string;
  readonly spireSvid?: string;
  readonly spireKey?: string;
  readonly spireBundle?: string;
  readonly spireWorkloadApi?: string;
}

/** The identity of now: files and agents have another one every hour or so. */
type IdentitySource = (trustDomain: TrustDomain, signal: AbortSignal) => Promise<WorkloadIdentity>;

const IDENTITY_LIMIT_MS = 10_000;

export class SpireSource {
  readonly #at: string | { readonly address: string; readonly identity: IdentitySource };

  /** @throws BonafideError `invalid_argument` for flags that do not go together. */
  constructor(flags: SpireSourceFlags) {
    const { spireSocket, spireAddress } = flags;
    const identity = identityFrom(flags);
    if (spireSocket !== undefined && spireAddress !== undefined) {
      throw invalidArgument('expected one of --spire-socket and --spire-address');
    }
    if (spireAddress !== undefined) {
      if (identity === undefined) {
        throw invalidArgument(
          '--spire-address needs the SVID of an admin: add --spire-workload-api, or --spire-svid, --spire-key and --spire-bundle',
        );
      }
      this.#at = { address: parseAddress(spireAddress), identity };
    } else if (spireSocket === undefined) {
      throw invalidArgument(
        '--spire-socket is missing; expected the admin socket of SPIRE, or --spire-address with its host and port',
      );
    } else if (identity !== undefined) {
      throw invalidArgument('an SVID is for --spire-address; at --spire-socket nobody asks for one');
    } else this.#at = spireSocket;
  }

  /** Connects anew and hangs up: over TCP each time under the SVID of now. @throws BonafideError. */
  async ask<T>(
    trustDomain: TrustDomain,
    signal: AbortSignal,
    work: (server: ServerConnection) => Promise<T>,
  ): Promise<T> {
    const server = await this.#connect(trustDomain, signal);
    try {
      return await work(server);
    } finally {
      server.close();
    }
  }

  async #connect(trustDomain: TrustDomain, signal: AbortSignal): Promise<ServerConnection> {
    if (typeof this.#at === 'string') return new ServerConnection(this.#at);
    const { address, identity: find } = this.#at;
    const identity = await find(trustDomain, signal);
    const { spiffeId, authorities } = identity;
    const spire = serverId(trustDomain);
    if (trustDomainOf(spiffeId) !== trustDomain) {
      throw new BonafideError(
        'failed_precondition',
        `the SVID is of ${spiffeId}; expected one of trust domain ${trustDomain}, which this server is of`,
      );
    }
    return new ServerConnection({
      address,
      credentials: createMutualTlsCredentials({ serverId: spire, authorities, identity }),
      options: mutualTlsChannelOptions(spire),
    });
  }
}

function identityFrom(flags: SpireSourceFlags): IdentitySource | undefined {
  const { spireSvid: svid, spireKey: key, spireBundle: bundle, spireWorkloadApi } = flags;
  const hasFiles = svid !== undefined || key !== undefined || bundle !== undefined;
  if (spireWorkloadApi !== undefined) {
    if (hasFiles) throw invalidArgument('expected either --spire-workload-api or the files of an SVID');
    const socketPath = resolve(spireWorkloadApi.replace(/^unix:(\/\/)?/, ''));
    return (trustDomain, signal) =>
      fetchWorkloadIdentity({ socketPath, trustDomain }, signal, IDENTITY_LIMIT_MS);
  }
  if (!hasFiles) return undefined;
  if (svid === undefined || key === undefined || bundle === undefined) {
    throw invalidArgument('--spire-svid, --spire-key and --spire-bundle go together');
  }
  return () => loadIdentityFiles({ svid, key, bundle });
}

/** @throws BonafideError `invalid_argument`. */
function parseAddress(text: string): string {
  const port = Number(/^(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\]):(\d{1,5})$/.exec(text)?.[1]);
  if (port >= 1 && port <= 65_535) return text;
  throw invalidArgument(`--spire-address is ${JSON.stringify(text)}; expected HOST:PORT or [IPv6]:PORT`);
}
