/** The life of an agent: takes up what an earlier run left, proves itself if it must, stays in step with its server, and serves. */
import { hasReason } from '@bonafide/shared/errors/bonafide-error';
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { ServiceNotice } from '@bonafide/shared/runtime/service-notice';
import type { IdentityKeeper } from './agent-identity/identity-keeper.js';
import type { Rebootstrap } from './agent-identity/rebootstrap.js';
import type { ServerConnection } from './agent-identity/server-connection.js';
import { untilItWorks } from './agent-identity/until-it-works.js';
import type { WorkloadEndpoint } from './endpoints/workload-endpoint.js';
import type { NodeProver } from './node-attestation/node-prover.js';
import type { ServerTrust } from './node-attestation/server-trust.js';
import type { Quarantine } from './quarantine/quarantine.js';
import type { SvidCache } from './svid-cache/svid-cache.js';
import type { SvidFiles } from './svid-renewal/svid-files.js';
import type { SvidRenewal } from './svid-renewal/svid-renewal.js';
import { trustedSvids } from './svid-renewal/trusted-svids.js';
import type { AuthorizedEntries } from './sync/authorized-entries.js';
import type { EntrySync } from './sync/entry-sync.js';
import type { StateFile } from './sync/state-file.js';
import type { WitSvids } from './token-svids/wit-svids.js';

export interface AgentParts {
  readonly trust: ServerTrust;
  readonly rebootstrap: Rebootstrap;
  readonly keeper: IdentityKeeper;
  readonly prover: NodeProver;
  readonly quarantine: Quarantine;
  readonly connection: ServerConnection;
  readonly cache: SvidCache;
  readonly renewal: SvidRenewal;
  readonly witSvids: WitSvids;
  readonly entries: AuthorizedEntries;
  readonly sync: EntrySync;
  readonly endpoint: WorkloadEndpoint;
  /** What is served to others than workloads. */
  readonly privileged: { listen(): Promise<void>; close(): void };
  /** Undefined: nothing of the workloads outlives the process. */
  readonly files: { readonly svids: SvidFiles; readonly state: StateFile } | undefined;
  /** What the agent itself writes for programs that only read files. */
  readonly fileOutputs: {
    run(signal: AbortSignal): Promise<void>;
    clear(): Promise<void>;
  };
  readonly notice: ServiceNotice;
  readonly explain: (error: unknown) => string;
  readonly random: () => number;
  readonly clock: Clock;
  readonly log: Logger;
}

const STREAM_GRACE_MS = 2_000;

type Task = (signal: AbortSignal) => Promise<void>;

export class Agent {
  readonly #parts: AgentParts;

  constructor(parts: AgentParts) {
    this.#parts = parts;
  }

  /**
   * Runs until the signal fires.
   * @throws BonafideError when the agent cannot go on; with a reason `agent_*` when the server has turned it away.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { cache, connection, endpoint, files, keeper, log, rebootstrap, privileged, renewal, trust } =
      this.#parts;
    const hasBundle = await trust.restore();
    const hasIdentity = await keeper.restore();
    if (hasIdentity) rebootstrap.review(keeper.canReattest);
    const hasEntries = await this.#restoreWorkloads();
    keeper.review();
    cache.connect(renewal);
    try {
      await privileged.listen();
      await together(signal, [
        (scope) => renewal.runExpiry(scope),
        async (scope) => {
          if (hasEntries) await this.#serveWorkloads();
          if (hasIdentity && !hasBundle) await this.#establishTrust(scope);
          if (!hasIdentity) await keeper.attest(hasEntries, scope);
          await trust.follow();
          await this.#work(!hasEntries, scope);
        },
      ]);
    } catch (error) {
      if (signal.aborted) return;
      if (
        hasReason(
          error,
          'agent_banned',
          'agent_expired',
          'agent_not_active',
          'agent_not_attested',
          'agent_must_reattest',
        )
      ) {
        log.warn('removing the SVIDs of the workloads, to which this agent is not entitled any more');
        await files?.svids.clear();
        await files?.state.delete();
        await this.#parts.fileOutputs.clear();
      }
      throw error;
    } finally {
      privileged.close();
      await endpoint.close(STREAM_GRACE_MS);
      connection.close();
      await files?.svids.flush();
      await files?.state.flush();
    }
  }

  async #work(isToListen: boolean, signal: AbortSignal): Promise<void> {
    const { fileOutputs, keeper, prover, quarantine, renewal, sync, witSvids } = this.#parts;
    const tasks: Task[] = [
      (scope) => keeper.run(scope),
      (scope) => sync.run(scope),
      (scope) => prover.run(scope),
      (scope) => renewal.runSigning(scope),
      (scope) => witSvids.run(scope),
      async (scope) => {
        // Before the first word of the server it would seem that no entry names what is on the disk.
        if (isToListen) await Promise.race([sync.synced, quarantine.entered, aborted(scope)]);
        if (!scope.aborted) await fileOutputs.run(scope);
      },
    ];
    // Whoever connects before the first word of the server would be told that nothing is registered for it.
    if (isToListen) {
      tasks.push(async (scope) => {
        await Promise.race([sync.synced, quarantine.entered, aborted(scope)]);
        if (!scope.aborted) await this.#serveWorkloads();
      });
    }
    await together(signal, tasks);
  }

  async #serveWorkloads(): Promise<void> {
    await this.#parts.endpoint.listen();
    this.#parts.notice.ready('Serving the Workload API');
  }

  /** @returns whether there is something to serve before the server is heard. */
  async #restoreWorkloads(): Promise<boolean> {
    const { cache, clock, entries, files, log, renewal } = this.#parts;
    const svids = (await files?.svids.load(clock.now())) ?? [];
    if (!(await entries.restore())) return false;
    renewal.restore(await trustedSvids(svids, { cache, now: clock.now(), log }));
    return true;
  }

  async #establishTrust(signal: AbortSignal): Promise<void> {
    const { clock, explain, log, random, trust } = this.#parts;
    const persistence = { what: 'loading the trust bundle', limitMs: undefined, explain, random, clock, log };
    await untilItWorks(() => trust.establish(signal), persistence, signal);
  }
}

/** Runs them side by side; when one fails the others are stopped, and the first failure is thrown once all have ended. */
async function together(signal: AbortSignal, tasks: readonly Task[]): Promise<void> {
  const failed = new AbortController();
  const scope = AbortSignal.any([signal, failed.signal]);
  const failures: unknown[] = [];
  await Promise.all(
    tasks.map(async (task) => {
      try {
        await task(scope);
      } catch (error) {
        failures.push(error);
        failed.abort();
      }
    }),
  );
  if (failures.length > 0) throw failures[0];
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener(
      'abort',
      () => {
        resolve();
      },
      { once: true },
    );
  });
}
