/** Whether the agent does what it is there for. */
import type { Clock } from '@bonafide/shared/runtime/clock';
import type { X509Svid } from '@bonafide/shared/svid/x509-svid';

/** One of the things that have to be well, for whoever has to make it so. */
export interface AgentHealthCheck {
  readonly name: 'quarantine' | 'identity' | 'workload_api' | 'server';
  readonly ok: boolean;
  readonly problem?: string;
  readonly remedy?: string;
}

export interface AgentHealthOptions {
  readonly agentSvid: () => X509Svid | undefined;
  readonly isServing: () => boolean;
  readonly isQuarantined: () => boolean;
  /** Whether the server is heard, and when it last was; the agent serves on without it. */
  readonly sync: { readonly isConnected: boolean; readonly lastSyncAt: Date | undefined };
  readonly clock: Clock;
}

export class AgentHealth {
  readonly #options: AgentHealthOptions;

  constructor(options: AgentHealthOptions) {
    this.#options = options;
  }

  /** Why workloads get nothing; undefined: they do. */
  problem(): string | undefined {
    return this.checks().find(({ name, ok }) => !ok && name !== 'server')?.problem;
  }

  /** Every part, and what to do. Without its server the agent is well, for workloads keep what they have. */
  checks(): readonly AgentHealthCheck[] {
    const { isQuarantined, isServing } = this.#options;
    return [
      check('quarantine', isQuarantined() ? 'this node is in quarantine' : undefined),
      check('identity', this.#identityProblem()),
      check('workload_api', isServing() ? undefined : 'the Workload API is not served yet'),
      check('server', this.#serverProblem()),
    ];
  }

  #identityProblem(): string | undefined {
    const svid = this.#options.agentSvid();
    if (svid === undefined) return 'the agent has no identity yet';
    return svid.notAfter <= this.#options.clock.now() ? "the agent's own SVID has expired" : undefined;
  }

  #serverProblem(): string | undefined {
    const { isConnected, lastSyncAt } = this.#options.sync;
    if (isConnected) return undefined;
    return lastSyncAt === undefined
      ? 'the server has not been heard yet'
      : `the server has not been heard since ${lastSyncAt.toISOString()}`;
  }
}

const REMEDIES: Readonly<Record<AgentHealthCheck['name'], string>> = {
  quarantine:
    'ask the server with bonafide-server agent show what was found, and release the agent when it is resolved',
  identity: 'read in the log why the node cannot attest or renew; see that the server answers',
  workload_api: 'wait until the agent has started; the log tells what it waits for',
  server:
    'see that the server runs and that this node reaches it; bonafide-agent survival tells how long workloads go on',
};

function check(name: AgentHealthCheck['name'], problem: string | undefined): AgentHealthCheck {
  if (problem === undefined) return { name, ok: true };
  return { name, ok: false, problem, remedy: REMEDIES[name] };
}
