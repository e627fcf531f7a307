/** The `vault` upstream authority: the PKI engine of HashiCorp Vault or OpenBao signs our CA certificates. */
import { readFile } from 'node:fs/promises';
import { BonafideError, errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import type { HttpTls } from '@bonafide/shared/http/send-request';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { addSeconds } from '@bonafide/shared/runtime/clock';
import { checkMintedAuthority } from '../check-minted-authority.js';
import type {
  MintedX509Authority,
  UpstreamAuthority,
  UpstreamContent,
  X509AuthorityRequest,
} from '../upstream-authority.js';
import type { UpstreamAuthorityHost, UpstreamAuthorityPlugin } from '../upstream-plugin.js';
import { readSignedIntermediate, signIntermediateBody } from './sign-intermediate.js';
import { VaultClient } from './vault-client.js';
import {
  readVaultSettings,
  vaultConfigSchema,
  type VaultConfig,
  type VaultSettings,
} from './vault-config.js';
import { VaultToken } from './vault-token.js';

export const vault = {
  configSchema: vaultConfigSchema,
  create: (config, host) => Promise.resolve(createVaultAuthority(config, host)),
} satisfies UpstreamAuthorityPlugin<VaultConfig>;

/** @param limitMs how long Vault may take to answer. */
export function createVaultAuthority(
  config: VaultConfig,
  host: UpstreamAuthorityHost,
  limitMs?: number,
): UpstreamAuthority {
  const settings = readVaultSettings(config, host.environment);
  if (settings.address.protocol === 'http:') {
    host.log.warn('vault_addr is http: whoever is on the way can read the token');
  } else if (settings.isUnverified) {
    host.log.warn('insecure_skip_verify is set: whoever answers for Vault is believed');
  }
  const { address, namespace } = settings;
  const client = new VaultClient({ address, namespace, tls: () => readTls(settings), limitMs });
  return new VaultAuthority(settings, client, host);
}

class VaultAuthority implements UpstreamAuthority {
  readonly name = 'vault';
  readonly #path: string;
  readonly #client: VaultClient;
  readonly #token: VaultToken;
  readonly #host: UpstreamAuthorityHost;
  readonly #alarm: Alarm;

  constructor({ login, pkiMountPoint }: VaultSettings, client: VaultClient, host: UpstreamAuthorityHost) {
    this.#path = `${pkiMountPoint}/root/sign-intermediate`;
    this.#client = client;
    this.#token = new VaultToken({ client, login, clock: host.clock });
    this.#host = host;
    this.#alarm = new Alarm(host.clock);
  }

  async mintX509Authority(request: X509AuthorityRequest, signal: AbortSignal): Promise<MintedX509Authority> {
    const { trustDomain, clock } = this.#host;
    const minted = readSignedIntermediate(await this.#sign(request, signal));
    return checkMintedAuthority(minted, request, { trustDomain, now: clock.now() });
  }

  /** Roots come with each certificate; what lives here is the token. */
  async follow(_listener: (content: UpstreamContent) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#host;
    const backoff = new Backoff({ initialMs: 1000, maximumMs: 60_000 });
    while (!signal.aborted) {
      let waitMs: number | undefined;
      try {
        waitMs = await this.#token.keepAlive(signal);
        backoff.reset();
      } catch (error) {
        if (hasReason(error, 'cancelled')) break;
        waitMs = backoff.nextDelayMs();
        log.warn(
          { err: error, upstream: this.name, retry_ms: Math.round(waitMs) },
          `cannot renew the token for Vault: ${errorMessage(error)}`,
        );
      }
      const until = waitMs === undefined ? undefined : addSeconds(clock.now(), waitMs / 1000);
      await this.#alarm.wait(until, signal);
    }
  }

  /** A token that was revoked, or expired unnoticed, is had anew once. */
  async #sign(
    request: X509AuthorityRequest,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, unknown>>> {
    const body = signIntermediateBody(request, this.#host.trustDomain);
    for (let attempt = 1; ; attempt += 1) {
      const token = await this.#token.get(signal);
      this.#alarm.ring(); // there may be something to renew now
      try {
        return await this.#client.call({ method: 'POST', path: this.#path, token, body }, signal);
      } catch (error) {
        if (!hasReason(error, 'permission_denied') || attempt === 2) throw error;
        this.#token.forget(token);
      }
    }
  }
}

/** Read for each call: certificates are renewed on disk. */
async function readTls({ caPath, isUnverified, login }: VaultSettings): Promise<HttpTls> {
  return {
    ca: caPath === undefined ? undefined : await readPem('ca_cert_path', caPath),
    isUnverified,
    ...(login.kind === 'cert' && {
      cert: await readPem('client_cert_path', login.certPath),
      key: await readPem('client_key_path', login.keyPath),
    }),
  };
}

async function readPem(key: string, path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    throw new BonafideError('unavailable', `cannot read ${key} ${path}: ${errorMessage(error)}`, {
      cause: error,
    });
  }
}
