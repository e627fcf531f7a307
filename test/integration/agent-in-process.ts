/** A whole agent inside the test's own process, beside a server that is there as well. */
import { writeFile } from 'node:fs/promises';
import { runAgent } from '@bonafide/agent/wiring/run-agent';
import { agentConfigSchema } from '@bonafide/agent/configuration/agent-config';
import { fetchX509Svids } from '@bonafide/agent/cli/api/workload-call';
import { readX509Answer, type AnsweredSvid } from '@bonafide/agent/cli/api/x509-answer';
import { formatBundlePem } from '@bonafide/shared/bundle/bundle-pem';
import type { ReloadResult } from '@bonafide/shared/config/live-config';
import { callUnary } from '@bonafide/shared/rpc/client-call';
import { bundleFromProto } from '@bonafide/shared/rpc/codec/bundle';
import { systemClock, type Clock } from '@bonafide/shared/runtime/clock';
import { mergeConfig, type ConfigFile } from '@bonafide/testing/merge-config';
import { createTemporaryDirectory, type TemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { waitFor } from '@bonafide/testing/wait-for';
import { pino } from 'pino';
import { ChangingConfig } from './changing-config.js';
import type { InProcessServer } from './server-in-process.js';

interface InProcessAgentOptions {
  readonly server: InProcessServer;
  /** Undefined: a new one is made. */
  readonly joinToken?: string;
  readonly config?: ConfigFile;
  readonly clock?: Clock;
  /** Where an earlier agent left its data. */
  readonly directory?: TemporaryDirectory;
  /** With `insecure_bootstrap` in place of a bundle. */
  readonly insecure?: boolean;
  readonly withoutToken?: boolean;
}

export interface LogLine {
  readonly level: string;
  readonly msg: string;
}

export class InProcessAgent implements AsyncDisposable {
  readonly directory: TemporaryDirectory;
  readonly socketPath: string;
  /** Rejects when the agent gives up by itself. */
  readonly ended: Promise<void>;
  readonly logLines: LogLine[] = [];
  /** As SIGHUP does. */
  readonly reload: (change: ConfigFile) => Promise<ReloadResult>;
  readonly #stopping = new AbortController();

  private constructor(file: ConfigFile, directory: TemporaryDirectory, clock: Clock) {
    this.directory = directory;
    this.socketPath = directory.join('agent.sock');
    const log = pino(
      { level: 'debug', base: null, formatters: { level: (level) => ({ level }) } },
      { write: (line) => this.logLines.push(JSON.parse(line) as LogLine) },
    );
    const config = new ChangingConfig(file, agentConfigSchema, log);
    this.reload = config.reload.bind(config);
    const { live } = config;
    this.ended = runAgent(config.atStart, { clock, live, log, signal: this.#stopping.signal });
    this.ended.catch(() => undefined); // whoever expects it to fail awaits it
  }

  static async start(options: InProcessAgentOptions): Promise<InProcessAgent> {
    const { server, clock = systemClock } = options;
    const directory = options.directory ?? createTemporaryDirectory({ isPublic: true });
    const bundlePath = directory.join('bootstrap.pem');
    if (options.directory === undefined) await writeFile(bundlePath, await bundleOf(server));
    const own: ConfigFile = {
      agent: {
        trust_domain: 'example.org',
        server_address: '127.0.0.1',
        server_port: server.port,
        socket_path: directory.join('agent.sock'),
        data_dir: directory.join('agent'),
        ...(options.insecure === true ? { insecure_bootstrap: true } : { trust_bundle_path: bundlePath }),
        ...(options.withoutToken === true
          ? {}
          : { join_token: options.joinToken ?? (await server.createToken()) }),
      },
    };
    return new InProcessAgent(mergeConfig(own, options.config ?? {}), directory, clock);
  }

  /** What a workload of this test's own user gets first. @throws BonafideError as the agent answers. */
  async fetch(deadlineMs = 10_000): Promise<readonly AnsweredSvid[]> {
    for await (const answer of fetchX509Svids(this.socketPath, { deadlineMs })) {
      return readX509Answer(answer, systemClock.now());
    }
    throw new Error('the agent ended the stream without an answer');
  }

  /** The same, as soon as there is anything. */
  async fetched(what: string): Promise<readonly AnsweredSvid[]> {
    return waitFor(what, () => this.fetch(), {
      explain: () => this.logLines.map(({ level, msg }) => `${level} ${msg}`).join('\n'),
    });
  }

  get dataDirectory(): string {
    return this.directory.join('agent');
  }

  /** How many messages had the text in them. */
  logged(text: string): number {
    return this.logLines.filter(({ msg }) => msg.includes(text)).length;
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.ended.catch(() => undefined); // that it failed is for the test to expect
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.directory.remove();
  }
}

async function bundleOf(server: InProcessServer): Promise<string> {
  const bundle = await callUnary(server.local('spire.api.server.bundle.v1.Bundle'), 'GetBundle', {});
  return formatBundlePem(bundleFromProto(bundle));
}

export function agentIdOf(joinToken: string): string {
  return `spiffe://example.org/spire/agent/join_token/${joinToken}`;
}

/** Of the processes that this test's own user runs. */
export const OWN_SELECTOR = { type: 'unix', value: `uid:${process.getuid?.() ?? 0}` };
