/** Opens the audit log where the configuration wants it, and takes the chain up where this server left it. */
import { join } from 'node:path';
import { createPrivateDirectory } from '@bonafide/shared/runtime/private-file';
import type { Clock, Timer } from '@bonafide/shared/runtime/clock';
import type { Logger } from '@bonafide/shared/runtime/logger';
import type { KeyManager } from '../authority/key-manager.js';
import type { AuditEventRecords } from '../store/audit-event-record.js';
import { auditFile, type AuditConfig, type AuditFileConfig } from './audit-config.js';
import type { AuditEvent } from './audit-event.js';
import { auditSigner } from './audit-key.js';
import type { ChainHead } from './audit-log.js';
import type { AuditLine } from './audit-record.js';
import { catchUp, fileLinesAfter, rowLinesAfter, type ReadablePlace } from './catch-up.js';
import { ChainedAuditLog, type ChainedAuditLogOptions } from './chained-audit-log.js';
import { SinkLine, type AuditSink } from './audit-sink.js';
import { DatabaseSink } from './database-sink.js';
import { FileSink } from './file-sink.js';
import { headPath, readHeadFile, writeHeadFile } from './head-file.js';
import { SyslogSink } from './syslog-sink.js';

export interface OpenAuditLogOptions extends Pick<ChainedAuditLogOptions, 'onRecorded' | 'checkpointEvery'> {
  readonly config: AuditConfig;
  /** The short form of `file.path`. */
  readonly shortPath: string | undefined;
  readonly dataFolder: string;
  readonly serverId: string;
  readonly keyManager: KeyManager;
  readonly records: AuditEventRecords | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface OpenedAuditLog {
  readonly audit: ChainedAuditLog;
  /** Files that others have given another name are opened anew. */
  readonly reopen: () => Promise<void>;
  readonly close: () => Promise<void>;
}

const ROTATION_CHECK_MS = 20_000;

/** @throws BonafideError `failed_precondition` when a file cannot be opened; `unavailable` when the first records cannot be written. */
export async function openAuditLog(options: OpenAuditLogOptions): Promise<OpenedAuditLog> {
  const { config, dataFolder, serverId, keyManager, clock, log } = options;
  const lines: SinkLine[] = [];
  const found: AuditEvent[] = [];
  const places: ReadablePlace[] = [];
  const add = (sink: AuditSink, isRequired: boolean): void => {
    lines.push(new SinkLine({ sink, isRequired, clock, log }));
  };
  const fileConfig = fileOf(options);
  let file: FileSink | undefined;
  if (fileConfig !== undefined) {
    const path = await pathOf(fileConfig, dataFolder);
    const opened = await FileSink.open({
      ...{ path, serverId, clock, log },
      ...{ maximumBytes: fileConfig.maximum_megabytes, maximumAgeSeconds: fileConfig.maximum_age },
      ...{ retention: { files: fileConfig.keep_files, seconds: fileConfig.keep_for } },
      compresses: fileConfig.compress,
    });
    file = opened.sink;
    found.push(...opened.found);
    const { head: fileHead } = opened;
    places.push({ sink: file, head: fileHead, after: (seq) => fileLinesAfter(path, seq) });
    add(file, fileConfig.required);
  }
  if (config.enabled && config.database !== undefined && options.records !== undefined) {
    const { required, keep_for: keepSeconds } = config.database;
    const { records } = options;
    const sink = new DatabaseSink({ records, serverId, keepSeconds, clock, log });
    const after = (seq: number): AsyncIterable<AuditLine> => rowLinesAfter(records, serverId, seq);
    places.push({ sink, head: await sink.head(), after });
    add(sink, required);
  }
  if (config.enabled && config.syslog !== undefined)
    add(new SyslogSink(config.syslog, clock), config.syslog.required);
  if (lines.length === 0) log.warn('audit.enabled is false: nothing that the server does is written down');
  const headFile = headPath(dataFolder);
  const { head, lost } = await whereItWas(
    headFile,
    serverId,
    places.map((place) => place.head),
  );
  await catchUp(places);
  if (lost !== undefined) {
    log.error(
      { ...lost.details },
      'records of the audit log are missing, or were changed, while the server did not run',
    );
    found.push(lost);
  }
  const audit = new ChainedAuditLog({
    ...{ serverId, lines, head, clock, log },
    signer: await auditSigner(keyManager),
    goesOnWithout: config.on_failure === 'continue',
    onRecorded: options.onRecorded,
    checkpointEvery: options.checkpointEvery,
    onCheckpoint: async (signed) => {
      if (lines.length === 0) return;
      await writeHeadFile(headFile, serverId, signed).catch((error: unknown) => {
        log.warn({ err: error }, 'cannot note how far the audit log is signed');
      });
    },
  });
  await audit.begin(found);
  const rotation = file === undefined ? undefined : keepRotating(audit, file, clock, log);
  return {
    audit,
    reopen: async () => {
      if ((await file?.reopen()) === true) log.info('the audit log was moved away, and is opened anew');
    },
    close: async () => {
      rotation?.stop();
      await audit.close();
    },
  };
}

function fileOf({ config, shortPath }: OpenAuditLogOptions): AuditFileConfig | undefined {
  if (!config.enabled) return undefined;
  if (config.file !== undefined) return { ...config.file, path: config.file.path ?? shortPath };
  const hasOther = config.database !== undefined || config.syslog !== undefined;
  return shortPath !== undefined || !hasOther ? auditFile(shortPath) : undefined;
}

async function pathOf({ path }: AuditFileConfig, dataFolder: string): Promise<string> {
  if (path !== undefined) return path;
  const folder = join(dataFolder, 'audit');
  await createPrivateDirectory(folder);
  return join(folder, 'audit.log');
}

/** The furthest of what is there. */
async function whereItWas(
  headFile: string,
  serverId: string,
  heads: readonly (ChainHead | undefined)[],
): Promise<{ readonly head: ChainHead | undefined; readonly lost: AuditEvent | undefined }> {
  const noted = await readHeadFile(headFile);
  const signed = noted?.server_id === serverId ? noted : undefined;
  const head = heads.reduce<ChainHead | undefined>(
    (best, next) => (next !== undefined && next.seq > (best?.seq ?? 0) ? next : best),
    undefined,
  );
  const isBehind =
    signed !== undefined &&
    (head === undefined ? heads.length > 0 : head.seq < signed.seq || isOther(head, signed));
  if (!isBehind) return { head: head ?? signed, lost: undefined };
  const lost = {
    event: 'audit_log_behind',
    result: 'failure',
    actor: { kind: 'server' },
    reason: 'the audit log does not end with what was signed last',
    details: {
      signed_seq: signed.seq,
      signed_hash: signed.hash,
      found_seq: head?.seq ?? 0,
      found_hash: head?.hash ?? '',
    },
  } as const;
  // What comes now follows what was signed: the gap stays visible.
  return { head: { seq: signed.seq, hash: signed.hash }, lost };
}

function isOther(head: ChainHead, signed: ChainHead): boolean {
  return head.seq === signed.seq && head.hash !== signed.hash;
}

function keepRotating(
  audit: ChainedAuditLog,
  file: FileSink,
  clock: Clock,
  log: Logger,
): { stop: () => void } {
  let timer: Timer | undefined;
  let isStopped = false;
  const schedule = (): void => {
    if (isStopped) return;
    timer = clock.schedule(ROTATION_CHECK_MS, () => {
      if (!file.isFull) {
        schedule();
        return;
      }
      audit
        .rotate()
        .catch((error: unknown) => {
          log.warn({ err: error }, 'the audit log was not rotated');
        })
        .finally(schedule);
    });
  };
  schedule();
  return {
    stop: () => {
      isStopped = true;
      timer?.cancel();
    },
  };
}
