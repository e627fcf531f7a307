/** PostgreSQL's errors, the driver's and the network's in our words, without secrets. */
import { DatabaseError } from 'pg';
import { BonafideError, errorMessage, type Reason } from '@bonafide/shared/errors/bonafide-error';

const RETRY_AFTER_MS = 1000;

/** By SQLSTATE; see appendix A of PostgreSQL's manual. */
const BY_STATE: Readonly<Record<string, readonly [Reason, string]>> = {
  '25006': ['unavailable', 'is read-only; nothing was changed'],
  '53100': ['unavailable', 'has no disk space left; nothing was changed, free some space and try again'],
  '53200': ['unavailable', 'has no memory left; nothing was changed'],
  '53300': [
    'unavailable',
    'has no connection left for this user; raise its max_connections or the connection limit of the user, or lower max_connections of the servers',
  ],
  '40001': ['aborted', 'gave way to another transaction; nothing was changed, try again'],
  '40P01': ['aborted', 'gave way to another transaction; nothing was changed, try again'],
  '55P03': ['unavailable', 'is locked by somebody else; nothing was changed'],
  '57014': ['unavailable', 'took too long to answer; nothing was changed'],
  '28P01': ['failed_precondition', 'refused the user name or the password'],
  '28000': ['failed_precondition', 'refused the user; see its pg_hba.conf'],
  '3D000': ['failed_precondition', 'is not there; create it first'],
  '42501': ['failed_precondition', 'does not grant this user what is needed'],
};

/** An empty answer, a closed socket and the like have no code of their own. */
const LOST_IN_WORDS =
  /^(Connection terminated|Client has encountered a connection error|Client was closed|Query read timeout|timeout expired|read ECONNRESET)/;
const POOL_IS_BUSY = 'timeout exceeded when trying to connect';

/** Whether what failed is the connection, so that nothing more can be asked through it. */
export function isConnectionLost(error: unknown): boolean {
  if (error instanceof DatabaseError) {
    const { code = '' } = error;
    return code.startsWith('08') || /^57P0[1-5]$/.test(code) || code === '25P03';
  }
  return isFromNetwork(error) || LOST_IN_WORDS.test(errorMessage(error));
}

/** Whether it is a database that cannot be written, such as one that is not the primary any more. */
export function isReadOnly(error: unknown): boolean {
  return error instanceof DatabaseError && error.code === '25006';
}

/** @param where as `describeTarget` has it. */
export function translatePostgresError(error: unknown, where: string): unknown {
  if (error instanceof BonafideError) return error;
  if (!(error instanceof DatabaseError)) return translateDriverError(error, where);
  const { code = '' } = error;
  if (code === '23505') {
    return new BonafideError('already_exists', 'the same row is there already', { cause: error });
  }
  if (code === '23503') {
    return new BonafideError(
      'failed_precondition',
      'the change would leave a reference to something that does not exist',
      { cause: error },
    );
  }
  if (code === '22021' || code === '22P05') {
    return new BonafideError('invalid_argument', 'a text has a zero byte, which the database cannot keep', {
      cause: error,
    });
  }
  if (isConnectionLost(error)) return unavailable(`the ${where} ended the connection`, error);
  // A rule of its pg_hba.conf; in another language than English the general words below have to do.
  if (code === '28000' && error.message.includes('no encryption')) {
    return new BonafideError(
      'failed_precondition',
      `the ${where} refused a connection without TLS; expected sslmode require, verify-ca or verify-full`,
      { cause: error },
    );
  }
  const known = BY_STATE[code];
  if (known === undefined) return error;
  const [reason, text] = known;
  if (reason === 'unavailable') return unavailable(`the ${where} ${text}`, error);
  return new BonafideError(reason, `the ${where} ${text}`, { cause: error });
}

function translateDriverError(error: unknown, where: string): unknown {
  const message = errorMessage(error);
  if (message === POOL_IS_BUSY) return unavailable(`all connections to the ${where} are busy`, error);
  if (message.includes('does not support SSL')) {
    return new BonafideError(
      'failed_precondition',
      `the ${where} has no TLS; expected sslmode disable for it`,
      {
        cause: error,
      },
    );
  }
  if (message.includes('SASL') && message.includes('password')) {
    return new BonafideError(
      'failed_precondition',
      `the ${where} wants a password; expected one in its url or in PGPASSWORD`,
      { cause: error },
    );
  }
  if (isConnectionLost(error)) {
    return unavailable(`cannot reach the ${where}: ${codeOf(error) ?? message}`, error);
  }
  const tlsProblem = codeOf(error);
  if (tlsProblem !== undefined)
    return unavailable(`cannot trust the ${where}: ${message} (${tlsProblem})`, error);
  return error;
}

function unavailable(message: string, cause: unknown): BonafideError {
  return new BonafideError('unavailable', message, { cause, retryAfterMs: RETRY_AFTER_MS });
}

function isFromNetwork(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
    ? true
    : /^E[A-Z_]+$/.test(codeOf(error) ?? '') && !isTls(error);
}

function isTls(error: unknown): boolean {
  return (codeOf(error) ?? '').startsWith('ERR_');
}

/** Of Node, or of OpenSSL. */
function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
