/** The parent server as this one calls it: by mutual TLS, with the identity that the Workload API gives now. */
import {
  BonafideError,
  errorMessage,
  hasReason,
  invalidArgument,
} from '@bonafide/shared/errors/bonafide-error';
import { callUnary, type CallSettings } from '@bonafide/shared/rpc/client-call';
import { bundleFromProto, tokenAuthoritiesFromProto } from '@bonafide/shared/rpc/codec/bundle';
import type { JWTKey__Output } from '@bonafide/shared/rpc/gen/spire/api/types/JWTKey';
import type { TokenAuthority, TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { unixSeconds, type Clock } from '@bonafide/shared/runtime/clock';
import { checkAuthorities } from '@bonafide/shared/bundle/check-authorities';
import type { X509AuthorityRequest } from '../upstream-authority.js';
import { ParentConnection, type ParentClients } from './parent-connection.js';
import type { WorkloadIdentity } from './read-workload-identity.js';
import { fetchWorkloadIdentity, type WorkloadApiSource } from './workload-identity.js';

export interface ParentServerOptions extends WorkloadApiSource {
  /** Host and port. */
  readonly address: string;
  readonly clock: Clock;
}

const IDENTITY_DEADLINE_MS = 10_000;
const CALL_DEADLINE_MS = 30_000;
const MAX_CHAIN = 10;

/** After these the identity may be what is wrong: revoked, replaced, or the parent shows itself under new authorities. */
const DOUBTS = ['unavailable', 'unauthenticated', 'permission_denied', 'cancelled'] as const;

export class ParentServer {
  readonly #options: ParentServerOptions;
  #connection: ParentConnection | undefined;

  constructor(options: ParentServerOptions) {
    this.#options = options;
  }

  /** The new CA certificate and what leads from it to the trust anchor. @throws BonafideError. */
  async newDownstreamAuthority(
    { csr, preferredTtlSeconds }: X509AuthorityRequest,
    signal: AbortSignal,
  ): Promise<readonly [Buffer, ...Buffer[]]> {
    const { caCertChain } = await this.#call(signal, ({ svid }, settings) =>
      callUnary(svid, 'NewDownstreamX509CA', { csr, preferredTtl: preferredTtlSeconds }, settings),
    );
    const [authority, ...intermediates] = caCertChain;
    if (authority === undefined || caCertChain.length > MAX_CHAIN) {
      const problem = `NewDownstreamX509CA answered ${caCertChain.length} certificates; expected 1 to ${MAX_CHAIN}`;
      throw new BonafideError('failed_precondition', this.#named(problem));
    }
    return [authority, ...intermediates];
  }

  async bundle(signal: AbortSignal): Promise<TrustBundle> {
    const answer = await this.#call(signal, ({ bundle }, settings) =>
      callUnary(bundle, 'GetBundle', {}, settings),
    );
    return this.#read('GetBundle', () => {
      const bundle = bundleFromProto(answer);
      if (bundle.trustDomain !== this.#options.trustDomain) {
        throw invalidArgument(`the bundle is of trust domain ${bundle.trustDomain}`);
      }
      checkAuthorities(bundle);
      return bundle;
    });
  }

  /** @returns every JWT authority of the trust domain. */
  async publishJwtAuthority(
    authority: TokenAuthority,
    signal: AbortSignal,
  ): Promise<readonly TokenAuthority[]> {
    const { jwtAuthorities } = await this.#call(signal, ({ bundle }, settings) =>
      callUnary(bundle, 'PublishJWTAuthority', { jwtAuthority: keyToProto(authority) }, settings),
    );
    return this.#read('PublishJWTAuthority', () => {
      const published = tokenAuthoritiesFromProto(jwtAuthorities, 'jwt_authorities');
      checkAuthorities({ jwtAuthorities: published });
      return published;
    });
  }

  /** @returns every WIT authority of the trust domain. */
  async publishWitAuthority(
    authority: TokenAuthority,
    signal: AbortSignal,
  ): Promise<readonly TokenAuthority[]> {
    const { witAuthorities } = await this.#call(signal, ({ bundle }, settings) =>
      callUnary(bundle, 'PublishWITAuthority', { witAuthority: keyToProto(authority) }, settings),
    );
    return this.#read('PublishWITAuthority', () => {
      const published = tokenAuthoritiesFromProto(witAuthorities, 'wit_authorities');
      checkAuthorities({ witAuthorities: published });
      return published;
    });
  }

  /** Later calls are made under it. */
  adopt(identity: WorkloadIdentity): ParentConnection {
    this.#connection?.retire();
    const { address, trustDomain } = this.#options;
    this.#connection = new ParentConnection(address, trustDomain, identity);
    return this.#connection;
  }

  close(): void {
    this.#connection?.retire();
    this.#connection = undefined;
  }

  /** Tried once more under a fresh identity when the one at hand may be what failed. */
  async #call<T>(
    signal: AbortSignal,
    work: (clients: ParentClients, settings: CallSettings) => Promise<T>,
  ): Promise<T> {
    const settings: CallSettings = { signal, deadlineMs: CALL_DEADLINE_MS };
    const known = this.#usableConnection();
    if (known !== undefined) {
      try {
        return await known.run((clients) => work(clients, settings));
      } catch (error) {
        if (signal.aborted || !hasReason(error, ...DOUBTS)) throw this.#failed(error);
      }
    }
    const fresh = this.adopt(await fetchWorkloadIdentity(this.#options, signal, IDENTITY_DEADLINE_MS));
    try {
      return await fresh.run((clients) => work(clients, settings));
    } catch (error) {
      if (this.#connection === fresh) this.close();
      throw this.#failed(error);
    }
  }

  /** Agents renew at half of an SVID's life. */
  #usableConnection(): ParentConnection | undefined {
    if (this.#connection === undefined) return undefined;
    const { notBefore, notAfter } = this.#connection.identity;
    const renewAt = (notBefore.getTime() + notAfter.getTime()) / 2;
    const now = this.#options.clock.now().getTime();
    return now >= notBefore.getTime() && now < renewAt ? this.#connection : undefined;
  }

  /** What cannot be read would become part of our bundle, and that of everybody below. */
  #read<T>(method: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      const problem = `the answer to ${method} cannot be used: ${errorMessage(error)}`;
      throw new BonafideError('failed_precondition', this.#named(problem), { cause: error });
    }
  }

  #failed(error: unknown): unknown {
    if (!(error instanceof BonafideError)) return error;
    return new BonafideError(error.reason, this.#named(error.message), { cause: error });
  }

  #named(problem: string): string {
    return `upstream server ${this.#options.address}: ${problem}`;
  }
}

function keyToProto({ publicKey, keyId, expiresAt, isTainted }: TokenAuthority): Partial<JWTKey__Output> {
  return {
    publicKey,
    keyId,
    expiresAt: expiresAt === undefined ? 0 : unixSeconds(expiresAt),
    tainted: isTainted,
  };
}
