/** By what the agent believes its server: the bundle of the last run, else the bootstrap source; then it follows every rotation. */
import { isDeepStrictEqual } from 'node:util';
import type { TrustBundle } from '@bonafide/shared/bundle/trust-bundle';
import { BonafideError, errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { bundleFromProto } from '@bonafide/shared/rpc/codec/bundle';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import type { BundleFile } from '../agent-identity/bundle-file.js';
import type { ServerConnection } from '../agent-identity/server-connection.js';
import { loadBootstrapBundle, type BootstrapSource } from './bootstrap-bundle.js';

interface ServerTrustOptions {
  readonly source: BootstrapSource;
  readonly trustDomain: TrustDomain;
  readonly file: BundleFile;
  readonly connection: ServerConnection;
  readonly log: Logger;
}

/** Trust that is not the agent's yet. */
export interface FreshTrust {
  /** CA certificates, DER. */
  readonly authorities: readonly Buffer[];
  /** Where they came from, for messages. */
  readonly place: string;
  accept(): Promise<void>;
}

const LIMIT_MS = 20_000;

export class ServerTrust {
  readonly #options: ServerTrustOptions;
  #bundle: TrustBundle | undefined;
  #stored: TrustBundle | undefined;
  #place = '';

  constructor(options: ServerTrustOptions) {
    this.#options = options;
  }

  /** Where the bundle came from, for messages. */
  get place(): string {
    return this.#place;
  }

  /** Takes up the bundle of the last run, if there is one. */
  async restore(): Promise<boolean> {
    const { file, log } = this.#options;
    const stored = await file.load();
    if (stored === undefined) {
      log.info('Bundle is not found');
      return false;
    }
    this.#stored = stored;
    this.#believe(stored, `${file.path} (delete it to bootstrap anew)`);
    log.info({ path: file.path }, 'Bundle loaded');
    return true;
  }

  /**
   * Bootstraps, unless there is a bundle already.
   * @throws BonafideError `unavailable` when it may work later; any other reason when it will not.
   */
  async establish(signal: AbortSignal): Promise<void> {
    if (this.#bundle !== undefined) return;
    if (this.#options.source.kind === 'insecure') await this.#believeAnyone(signal);
    else this.#believe(...(await this.#load(this.#options.source, signal)));
  }

  /**
   * What the bootstrap source says now, whatever is believed; for a server that the bundle does not vouch for any more.
   * @returns what takes it for true: to be called once a server has proven itself under it.
   * @throws BonafideError as `establish`.
   */
  async bootstrapAnew(signal: AbortSignal): Promise<FreshTrust> {
    const { source } = this.#options;
    if (source.kind === 'insecure') {
      throw new BonafideError('failed_precondition', 'an insecure bootstrap is not repeated');
    }
    const [bundle, place] = await this.#load(source, signal);
    return {
      authorities: bundle.x509Authorities.map(({ certificate }) => certificate),
      place,
      accept: async () => {
        this.#believe(bundle, place);
        await this.follow();
      },
    };
  }

  /** Called with the trust domain's bundle whenever the server has told one, and once an agent has been attested under it. */
  async follow(bundle: TrustBundle | undefined = this.#bundle): Promise<void> {
    const { file, log } = this.#options;
    if (bundle === undefined) return;
    if (bundle.x509Authorities.length === 0) {
      log.error('the server sent a trust bundle without any authority; keeping the one that is held');
      return;
    }
    if (!isDeepStrictEqual(bundle.x509Authorities, this.#bundle?.x509Authorities)) {
      this.#believe(bundle, 'that the server sent last');
    }
    if (isDeepStrictEqual(bundle, this.#stored)) return;
    try {
      await file.save(bundle);
      this.#stored = bundle;
    } catch (error) {
      log.warn({ path: file.path }, `cannot keep the trust bundle on disk: ${errorMessage(error)}`);
    }
  }

  async #load(
    source: Exclude<BootstrapSource, { kind: 'insecure' }>,
    signal: AbortSignal,
  ): Promise<[bundle: TrustBundle, place: string]> {
    const bundle = await loadBootstrapBundle(source, this.#options.trustDomain, signal);
    return [bundle, source.kind === 'file' ? source.path : source.url];
  }

  #believe(bundle: TrustBundle, place: string): void {
    this.#bundle = bundle;
    this.#place = place;
    this.#options.connection.trust(bundle.x509Authorities.map(({ certificate }) => certificate));
  }

  /** Asks whoever answers for the bundle; from then on only a server under that bundle is believed. */
  async #believeAnyone(signal: AbortSignal): Promise<void> {
    const { connection, log, trustDomain } = this.#options;
    log.warn(
      'INSECURE BOOTSTRAP: the identity of the server is not verified; whoever answers at its address is believed. Use trust_bundle_path or trust_bundle_url in production',
    );
    connection.trust('unverified');
    const channel = connection.openAnonymous();
    try {
      const client = channel.client('spire.api.server.bundle.v1.Bundle');
      const bundle = bundleFromProto(
        await callUnary(client, 'GetBundle', {}, { deadlineMs: LIMIT_MS, signal }),
      );
      if (bundle.trustDomain !== trustDomain) {
        throw new BonafideError(
          'failed_precondition',
          `the server is of trust domain ${bundle.trustDomain}; expected ${trustDomain}`,
        );
      }
      if (bundle.x509Authorities.length === 0) {
        throw new BonafideError('unavailable', 'the server has no X.509 authority yet');
      }
      this.#believe(bundle, 'that the unverified server sent');
    } catch (error) {
      if (hasReason(error, 'unavailable', 'deadline_exceeded')) connection.discard(channel);
      throw error;
    } finally {
      channel.close();
    }
  }
}
