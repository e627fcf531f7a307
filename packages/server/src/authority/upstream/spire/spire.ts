/** The `spire` upstream authority: a parent server of the same trust domain, asked with an SVID from the Workload API of an agent of its. */
import type { TokenAuthority } from '@bonafide/shared/bundle/trust-bundle';
import { errorMessage, hasReason } from '@bonafide/shared/errors/bonafide-error';
import { Alarm } from '@bonafide/shared/runtime/alarm';
import { Backoff } from '@bonafide/shared/runtime/backoff';
import { addSeconds, sleep } from '@bonafide/shared/runtime/clock';
import { isAborted } from '@bonafide/shared/runtime/is-aborted';
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
import { ParentServer } from './parent-server.js';
import { watchTokenBundles, watchWorkloadIdentity, type WorkloadApiSource } from './workload-identity.js';

const configSchema = z.strictObject({
  server_address: z.string().min(1).max(255),
  /** A number, or text as SPIRE's files have it. */
  server_port: z.union([
    z.int().min(1).max(65535),
    z
      .string()
      .regex(/^\d{1,5}$/, { message: 'is no port; expected 1 to 65535' })
      .transform(Number)
      .pipe(z.int().min(1).max(65535)),
  ]),
  workload_api_socket: z.string().min(1).max(107),
});

type SpireConfig = z.output<typeof configSchema>;

/** As often as SPIRE asks; what the agent is pushed is heard of at once besides. */
const POLL_SECONDS = 5;

export const spire = {
  configSchema,
  create: (config, host) => Promise.resolve(new SpireUpstreamAuthority(config, host)),
} satisfies UpstreamAuthorityPlugin<SpireConfig>;

class SpireUpstreamAuthority implements UpstreamAuthority {
  readonly name = 'spire';
  readonly #host: UpstreamAuthorityHost;
  readonly #parent: ParentServer;
  readonly #source: WorkloadApiSource;
  /** SPIRE's servers have no bundle for WIT authorities. */
  #knowsWit = true;

  constructor(config: SpireConfig, host: UpstreamAuthorityHost) {
    const { server_address: address, server_port: port, workload_api_socket: socketPath } = config;
    this.#host = host;
    this.#source = { socketPath, trustDomain: host.trustDomain };
    this.#parent = new ParentServer({
      ...this.#source,
      address: `${address.includes(':') ? `[${address}]` : address}:${port}`,
      clock: host.clock,
    });
  }

  async mintX509Authority(request: X509AuthorityRequest, signal: AbortSignal): Promise<MintedX509Authority> {
    const certificateChain = await this.#parent.newDownstreamAuthority(request, signal);
    // That answer has the roots too, but does not say which of them are tainted.
    const { x509Authorities: upstreamRoots } = await this.#parent.bundle(signal);
    const { trustDomain, clock } = this.#host;
    return checkMintedAuthority({ certificateChain, upstreamRoots }, request, {
      trustDomain,
      now: clock.now(),
    });
  }

  publishJwtAuthority(authority: TokenAuthority, signal: AbortSignal): Promise<readonly TokenAuthority[]> {
    return this.#parent.publishJwtAuthority(authority, signal);
  }

  async publishWitAuthority(
    authority: TokenAuthority,
    signal: AbortSignal,
  ): Promise<readonly TokenAuthority[]> {
    try {
      const authorities = await this.#parent.publishWitAuthority(authority, signal);
      this.#knowsWit = true;
      return authorities;
    } catch (error) {
      if (!hasReason(error, 'unimplemented')) throw error;
      this.#knowsWit = false;
      this.#host.log.warn(
        { upstream: this.name },
        'the upstream server has no bundle for WIT authorities: WIT-SVIDs of this server are known only below it',
      );
      return [authority];
    }
  }

  async follow(listener: (content: UpstreamContent) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#host;
    const alarm = new Alarm(clock);
    const backoff = new Backoff({ initialMs: 500, maximumMs: POLL_SECONDS * 1000 });
    const watching = this.#followAgent(alarm, signal);
    let published: string | undefined;
    while (!signal.aborted) {
      let waitMs = POLL_SECONDS * 1000;
      try {
        const content = await this.#content(signal);
        const key = contentKey(content);
        if (key !== published) await listener(content);
        published = key;
        backoff.reset();
      } catch (error) {
        if (isAborted(signal)) break;
        waitMs = backoff.nextDelayMs();
        log.warn(
          { err: error, upstream: this.name, retry_ms: Math.round(waitMs) },
          `cannot follow the bundle of the upstream server: ${errorMessage(error)}`,
        );
      }
      await alarm.wait(addSeconds(clock.now(), waitMs / 1000), signal);
    }
    await watching;
    this.#parent.close();
  }

  async #content(signal: AbortSignal): Promise<UpstreamContent> {
    const { x509Authorities, jwtAuthorities, witAuthorities } = await this.#parent.bundle(signal);
    return {
      x509Roots: x509Authorities,
      jwtAuthorities,
      witAuthorities: this.#knowsWit ? witAuthorities : undefined,
    };
  }

  /** The agent tells at once of a new SVID and of new authorities; by polling alone each level of nesting would add seconds. */
  async #followAgent(alarm: Alarm, signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#watch(signal, async (succeeded) => {
        for await (const identity of watchWorkloadIdentity(this.#source, signal)) {
          this.#parent.adopt(identity);
          succeeded();
          alarm.ring();
        }
      }),
      ...(['jwt', 'wit'] as const).map((kind) =>
        this.#watch(signal, async (succeeded) => {
          for await (const count of watchTokenBundles(kind, this.#source, signal)) {
            succeeded();
            if (count > 0) alarm.ring();
          }
        }),
      ),
    ]);
  }

  /** Again and again until the signal fires, or the agent does not know the stream. */
  async #watch(signal: AbortSignal, stream: (succeeded: () => void) => Promise<void>): Promise<void> {
    const { clock, log } = this.#host;
    const backoff = new Backoff({ initialMs: 250, maximumMs: 10_000 });
    while (!signal.aborted) {
      let problem: unknown = new Error('the agent ended the stream');
      try {
        await stream(() => {
          backoff.reset();
        });
      } catch (error) {
        problem = error;
      }
      if (isAborted(signal) || hasReason(problem, 'unimplemented')) return;
      const waitMs = backoff.nextDelayMs();
      log.warn(
        { err: problem, upstream: this.name, retry_ms: Math.round(waitMs) },
        `cannot follow the agent of the upstream server: ${errorMessage(problem)}`,
      );
      await sleep(clock, waitMs, signal).catch(() => undefined); // cancelled: the loop ends
    }
  }
}
