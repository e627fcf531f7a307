/** Runs the helpers of one file side by side, with the program beside which they run. */
import type { Server } from 'node:http';
import { CommandExit } from '@bonafide/shared/cli/command-exit';
import type { CommandHost } from '@bonafide/shared/cli/command-host';
import { logLevelSchema } from '@bonafide/shared/config/log-level';
import { errorMessage, invalidArgument } from '@bonafide/shared/errors/bonafide-error';
import { keepProcessAlive } from '@bonafide/shared/runtime/keep-process-alive';
import { createLogger, type Logger } from '@bonafide/shared/runtime/logger';
import { withTimeLimit } from '@bonafide/shared/runtime/time-limit';
import { ownershipOf } from '../../helper/account-number.js';
import { SupervisedChild } from '../../helper/child-process.js';
import { listenForProbes } from '../../helper/health-listener.js';
import { Helper } from '../../helper/helper.js';
import type { HelperFile } from '../../helper/helper-config.js';
import { workloadSocketPath } from '../workload-socket.js';
import type { HelperFlags } from './helper-flags.js';
import { WorkloadApiSource } from './workload-api-source.js';

/** Passed on to the program as they come; those that ask us to end become SIGTERM. */
const PASSED = ['SIGHUP', 'SIGUSR2', 'SIGWINCH'] as const;
const ONCE_LIMIT_MS = 60_000;

/** @throws BonafideError when it cannot start; CommandExit with the program's exit code. */
export async function runHelpers(file: HelperFile, flags: HelperFlags, host: CommandHost): Promise<void> {
  const log = loggerOf(flags);
  const source = new WorkloadApiSource({ socketPath: socketPathOf(file, flags, host), clock: host.clock });
  const stop = host.stopSignal();
  const done = new AbortController();
  const signal = AbortSignal.any([stop, done.signal]);
  const parts = { random: Math.random, clock: host.clock, log };
  const child = file.child && new SupervisedChild({ command: file.child, ...parts });
  let onReady: () => void = () => undefined;
  const filesAreThere = new Promise<undefined>((resolve) => {
    onReady = () => {
      resolve(undefined);
    };
  });
  let isStarted = false;
  const onWritten = (): void => {
    if (isStarted) child?.renew();
    else if (helpers.every(({ isReady }) => isReady)) onReady();
  };
  const helpers: Helper[] = [];
  for (const entry of file.entries) {
    const ownership = await ownershipOf(entry);
    const one = new Helper({ entry, ownership, source, onWritten, ...parts });
    await one.prepare();
    helpers.push(one);
  }
  if (!file.isDaemon) {
    const writing = writeOnce(helpers, signal);
    await withTimeLimit(host.clock, ONCE_LIMIT_MS, 'the agent', writing).finally(() => {
      done.abort();
    });
    return;
  }
  const release = keepProcessAlive();
  let probes: Server | undefined;
  const unpass = child === undefined ? (): void => undefined : passSignals(child);
  try {
    const { bind_address, bind_port, listener_enabled, liveness_path, readiness_path } = file.healthChecks;
    if (listener_enabled) {
      probes = await listenForProbes({
        address: bind_address,
        port: bind_port,
        livenessPath: liveness_path,
        readinessPath: readiness_path,
        helpers,
      });
    }
    const writing = Promise.all(helpers.map((one) => one.run(signal)));
    if (child === undefined) {
      await writing;
      return;
    }
    const code = await runChild(child, filesAreThere, signal, () => (isStarted = true));
    done.abort();
    await writing;
    if (code !== undefined) throw new CommandExit(code);
  } catch (error) {
    if (!(error instanceof CommandExit)) log.fatal(errorMessage(error));
    throw error;
  } finally {
    done.abort();
    unpass();
    probes?.close();
    release();
  }
}

async function writeOnce(helpers: readonly Helper[], signal: AbortSignal): Promise<void> {
  for (const one of helpers) await one.once(signal);
}

/** @returns undefined when it was never started. */
async function runChild(
  child: SupervisedChild,
  filesAreThere: Promise<undefined>,
  signal: AbortSignal,
  onStart: () => void,
): Promise<number | undefined> {
  const stopped = new Promise<undefined>((resolve) => {
    signal.addEventListener(
      'abort',
      () => {
        resolve(undefined);
      },
      { once: true },
    );
  });
  await Promise.race([filesAreThere, stopped]);
  if (signal.aborted) return undefined;
  onStart();
  return child.run(signal);
}

function passSignals(child: SupervisedChild): () => void {
  const pass = (_name: NodeJS.Signals, number: number): void => {
    child.pass(number);
  };
  for (const name of PASSED) process.on(name, pass);
  return () => {
    for (const name of PASSED) process.off(name, pass);
  };
}

function socketPathOf(file: HelperFile, flags: HelperFlags, host: CommandHost): string {
  const named =
    flags.socketPath ?? file.agentAddress ?? (host.environment['SPIFFE_ENDPOINT_SOCKET'] || undefined);
  const path = named?.replace(/^unix:(?:\/\/(?=\/))?/, '');
  if (path?.includes('://') === true) {
    throw invalidArgument(`${path} is no address of a Unix socket; expected its path, or unix:///PATH`);
  }
  return workloadSocketPath(
    { ...flags, ...(path === undefined ? {} : { socketPath: path }) },
    host.environment,
  );
}

function loggerOf({ logFormat, logLevel }: HelperFlags): Logger {
  const level = logLevelSchema.safeParse(logLevel);
  if (!level.success) throw invalidArgument('--log-level: expected DEBUG, INFO, WARN or ERROR');
  if (logFormat !== 'json' && logFormat !== 'text')
    throw invalidArgument('--log-format: expected text or json');
  return createLogger({ level: level.data, format: logFormat });
}
