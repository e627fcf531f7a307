import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../runtime/clock.js';
import { duringCall } from './current-call.js';
import { openTelemetrySchema } from './open-telemetry-config.js';
import { openTracer } from './open-tracer.js';
import { beginSpan, inSpan } from './tracer.js';

const CALLER = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), isSampled: true };

function options(endpoint: string, sampleRatio: number, lines: string[] = []) {
  return {
    config: openTelemetrySchema.parse({ endpoint, sample_ratio: sampleRatio, timeout: '1s' }),
    program: 'bonafide-test',
    version: '1.2.3',
    clock: systemClock,
    log: pino({ level: 'debug' }, { write: (line) => lines.push(line) }),
  };
}

describe('the tracer', () => {
  it('is none without configuration, and work runs as if there were no spans', async () => {
    expect(await openTracer({ ...options('http://localhost', 1), config: undefined })).toBeUndefined();
    expect(await inSpan('work', {}, (span) => Promise.resolve(span))).toBeUndefined();
    expect(beginSpan('work')).toBeUndefined();
  });

  it('follows a caller that is trusted, and neither the trace nor the choice of one that is not', async () => {
    const opened = await openTracer(options('http://127.0.0.1:1', 0));
    const trusted = opened?.tracer.start('call', { kind: 'server', parent: CALLER });
    expect(trusted?.remote).toMatchObject({ traceId: CALLER.traceId, isSampled: true });
    const stranger = opened?.tracer.start('call', { kind: 'server', link: CALLER });
    expect(stranger?.remote.traceId).not.toBe(CALLER.traceId);
    expect(stranger?.remote.isSampled).toBe(false);
    await opened?.close();
  });

  it('says once that no collector answers, and goes on', async () => {
    const lines: string[] = [];
    // Nobody listens at the discard port of a test machine; whoever does is no collector.
    const opened = await openTracer(options('http://127.0.0.1:9', 1, lines));
    for (let call = 0; call < 5000; call += 1) {
      opened?.tracer.start('call', { kind: 'server' }).end();
    }
    const call = { requestId: 'id', callerRequestId: undefined, path: undefined };
    const span = opened?.tracer.start('call', { kind: 'server' });
    expect(await duringCall({ ...call, span }, () => inSpan('work', {}, () => Promise.resolve(1)))).toBe(1);
    await opened?.close();
    expect(lines.filter((line) => line.includes('traces could not be delivered'))).toHaveLength(1);
  });
});
