/** The `disk` upstream authority: a CA whose key and certificate lie in files, read anew whenever they changed. */
import {
  parseCertificateSigningRequest,
  verifyCertificateSigningRequest,
} from '@bonafide/shared/crypto/certificate-signing-request';
import { createIntermediateAuthority } from '@bonafide/shared/crypto/intermediate-authority';
import { BonafideError, errorMessage } from '@bonafide/shared/errors/bonafide-error';
import { addSeconds, dateFromUnixSeconds, sleep, unixSeconds } from '@bonafide/shared/runtime/clock';
import { z } from 'zod';
import { checkMintedAuthority } from '../check-minted-authority.js';
import { contentKey } from '../content-key.js';
import type {
  MintedX509Authority,
  UpstreamAuthority,
  UpstreamContent,
  X509AuthorityRequest,
} from '../upstream-authority.js';
import type { UpstreamAuthorityHost, UpstreamAuthorityPlugin } from '../upstream-plugin.js';
import {
  filesVersion,
  loadDiskAuthority,
  type DiskAuthority,
  type DiskAuthorityFiles,
} from './disk-authority.js';

const path = z.string().min(1).max(4096);

const configSchema = z.strictObject({
  key_file_path: path,
  cert_file_path: path,
  bundle_file_path: path.optional(),
});

type DiskConfig = z.output<typeof configSchema>;

/** Between two looks at the files. */
const LOOK_MS = 2_000;
const NOT_BEFORE_CUSHION_SECONDS = 10;

export const disk = {
  configSchema,
  create: async (config, host) => {
    const authority = new DiskUpstreamAuthority(config, host);
    await authority.load();
    return authority;
  },
} satisfies UpstreamAuthorityPlugin<DiskConfig>;

class DiskUpstreamAuthority implements UpstreamAuthority {
  readonly name = 'disk';
  readonly #files: DiskAuthorityFiles;
  readonly #host: UpstreamAuthorityHost;
  #held: { readonly version: string; readonly authority: DiskAuthority } | undefined;
  /** Of files that could not be used: said once. */
  #refusedVersion: string | undefined;

  constructor(config: DiskConfig, host: UpstreamAuthorityHost) {
    this.#files = {
      keyPath: config.key_file_path,
      certPath: config.cert_file_path,
      bundlePath: config.bundle_file_path,
    };
    this.#host = host;
  }

  /**
   * Reads the files if they changed. While they cannot be used, what was read last goes on, as in SPIRE.
   * @throws BonafideError when nothing was read yet.
   */
  async load(): Promise<DiskAuthority> {
    const { trustDomain, clock, log } = this.#host;
    const version = await filesVersion(this.#files);
    if (this.#held?.version === version) return this.#held.authority;
    if (this.#held !== undefined && this.#refusedVersion === version) return this.#held.authority;
    try {
      const authority = await loadDiskAuthority(this.#files, { trustDomain, now: clock.now() });
      if (this.#held !== undefined) log.info({ upstream: this.name }, 'the upstream authority was read anew');
      if (authority.isKeyExposed) {
        log.warn(
          { path: this.#files.keyPath },
          'others than its owner may read the key of the upstream authority; set its mode to 0600',
        );
      }
      this.#held = { version, authority };
      this.#refusedVersion = undefined;
      return authority;
    } catch (error) {
      if (this.#held === undefined) throw error;
      this.#refusedVersion = version;
      log.error(
        { err: error, upstream: this.name },
        `the upstream authority on disk cannot be used, the one that was read before goes on: ${errorMessage(error)}`,
      );
      return this.#held.authority;
    }
  }

  async mintX509Authority(request: X509AuthorityRequest, signal: AbortSignal): Promise<MintedX509Authority> {
    signal.throwIfAborted();
    const { trustDomain, clock } = this.#host;
    this.#refusedVersion = undefined; // they may be good by now: a certificate begins
    const { certificate: issuer, signer, chain, roots, notAfter: end } = await this.load();
    const csr = await verifyCertificateSigningRequest(parseCertificateSigningRequest(request.csr));
    const now = dateFromUnixSeconds(unixSeconds(clock.now()));
    if (end <= now) {
      throw new BonafideError(
        'unavailable',
        `the upstream authority on disk expired at ${end.toISOString()}`,
      );
    }
    const wanted = addSeconds(now, request.preferredTtlSeconds);
    const cushioned = addSeconds(now, -NOT_BEFORE_CUSHION_SECONDS);
    const certificate = await createIntermediateAuthority({
      trustDomain,
      csr,
      issuer,
      signer,
      notBefore: cushioned > issuer.notBefore ? cushioned : issuer.notBefore,
      notAfter: wanted < end ? wanted : end,
    });
    const minted: MintedX509Authority = {
      certificateChain: [certificate, ...chain],
      upstreamRoots: rootsOf(roots),
    };
    return checkMintedAuthority(minted, request, { trustDomain, now });
  }

  async follow(listener: (content: UpstreamContent) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#host;
    let published: string | undefined;
    while (!signal.aborted) {
      try {
        const { roots } = await this.load();
        const content: UpstreamContent = { x509Roots: rootsOf(roots) };
        const key = contentKey(content);
        if (key !== published) await listener(content);
        published = key;
      } catch (error) {
        log.warn(
          { err: error, upstream: this.name },
          `cannot publish the roots of the upstream authority: ${errorMessage(error)}`,
        );
      }
      await sleep(clock, LOOK_MS, signal).catch(() => undefined); // cancelled: the loop ends
    }
  }
}

function rootsOf(roots: readonly Buffer[]): MintedX509Authority['upstreamRoots'] {
  return roots.map((certificate) => ({ certificate, isTainted: false }));
}
