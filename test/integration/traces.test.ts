import { readFileSync } from 'node:fs';
import { runServerProgram } from '@bonafide/server/cli/program';
import { startHttpStandIn, type HttpStandIn } from '@bonafide/testing/http-stand-in';
import { createRecordedHost } from '@bonafide/testing/recorded-host';
import { waitFor } from '@bonafide/testing/wait-for';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { agentIdOf, InProcessAgent, OWN_SELECTOR } from './agent-in-process.js';
import { InProcessServer } from './server-in-process.js';

interface SentSpan {
  readonly program: string;
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly attributes: readonly { readonly key: string; readonly value: Record<string, unknown> }[];
}

interface SentTraces {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: SentSpan['attributes'] };
    readonly scopeSpans: readonly { readonly spans: readonly Omit<SentSpan, 'program'>[] }[];
  }[];
}

const LAZY = 'spiffe://example.org/lazy';
const COLLECTOR_SECRET = 'what-the-collector-asks-for';
const FETCH = 'SpiffeWorkloadAPI/FetchX509SVID';
const METHOD = 'BatchNewX509SVID';
const SIGN = `spire.api.server.svid.v1.SVID/${METHOD}`;

describe('traces', () => {
  let collector: HttpStandIn;
  let server: InProcessServer;
  let agent: InProcessAgent;
  let joinToken: string;

  beforeAll(async () => {
    collector = await startHttpStandIn(() => ({ body: '{}' }));
    const OpenTelemetry = {
      endpoint: collector.url.href,
      sample_ratio: 1,
      headers: { authorization: COLLECTOR_SECRET },
    };
    server = await InProcessServer.start({
      config: { telemetry: { OpenTelemetry }, audit: { database: {} } },
    });
    joinToken = await server.createToken();
    agent = await InProcessAgent.start({ server, joinToken, config: { telemetry: { OpenTelemetry } } });
    const host = createRecordedHost();
    const entry = ['--spiffe-id', LAZY, '--parent-id', agentIdOf(joinToken), '--disable-x509-svid-prefetch'];
    const flags = ['--selector', `unix:${OWN_SELECTOR.value}`, '--socket-path', server.socketPath];
    expect(await runServerProgram(['entry', 'create', ...entry, ...flags], host)).toBe(0);
    await agent.fetched('the SVID that nobody had asked for');
  });
  afterAll(async () => {
    await agent[Symbol.asyncDispose]();
    await server[Symbol.asyncDispose]();
    await collector.stop();
  });

  function spans(): readonly SentSpan[] {
    return collector.requests.flatMap(({ body }) =>
      (JSON.parse(body) as SentTraces).resourceSpans.flatMap(({ resource, scopeSpans }) => {
        const program = String(valueOf(resource, 'service.name'));
        return scopeSpans.flatMap((scope) => scope.spans.map((span) => ({ ...span, program })));
      }),
    );
  }

  /** From the outermost to this one, as `program name`. */
  function lineage(span: SentSpan, all: readonly SentSpan[]): readonly string[] {
    const parent = all.find(
      ({ spanId, traceId }) => spanId === span.parentSpanId && traceId === span.traceId,
    );
    return [...(parent === undefined ? [] : lineage(parent, all)), `${span.program} ${span.name}`];
  }

  it('lead from the call of a workload through agent and server to the audit log in the database', async () => {
    const audited = await waitFor('the trace that reaches the audit log', () => {
      const all = spans();
      const lines = all.filter(({ name }) => name === 'audit.write').map((span) => lineage(span, all));
      return lines.find(([first]) => first === `bonafide-agent ${FETCH}`);
    });
    expect(audited).toEqual([
      `bonafide-agent ${FETCH}`,
      'bonafide-agent svid.wait',
      'bonafide-agent batch.sign',
      `bonafide-agent ${SIGN}`,
      `bonafide-server ${SIGN}`,
      'bonafide-server audit.write',
    ]);
    const all = spans();
    const root = all.find(({ name, traceId }) => name === FETCH && traceId === traceOf(all, 'issuance.sign'));
    expect(root?.parentSpanId).toBeUndefined();
    expect(root && valueOf(root, 'bonafide.peer.uid')).toBe(process.getuid?.());
    const names = all.filter(({ traceId }) => traceId === root?.traceId).map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(['attestation', 'attestor', 'authorize', 'issuance.queue', 'issuance.sign']),
    );
  });

  it('tell of the transaction of a change, and by which revision', async () => {
    const write = await waitFor('the trace of the entry', () => {
      const all = spans();
      return all.find((span) => {
        const [first, second] = lineage(span, all);
        return first?.endsWith('Entry/BatchCreateEntry') && second === 'bonafide-server store.write';
      });
    });
    expect(Number(valueOf(write, 'bonafide.revision'))).toBeGreaterThan(0);
  });

  it('hold no token, no selector, no key and no credentials', async () => {
    await waitFor('spans of both programs', () => new Set(spans().map(({ program }) => program)).size === 2);
    const sent = collector.requests.map(({ body }) => body).join('\n');
    for (const secret of [joinToken, OWN_SELECTOR.value, COLLECTOR_SECRET, 'BEGIN', LAZY]) {
      expect(sent).not.toContain(secret);
    }
    expect(collector.requests[0]?.headers['authorization']).toBe(COLLECTOR_SECRET);
    const logged = JSON.stringify(agent.logLines) + readFileSync(server.directory.join('server.log'), 'utf8');
    expect(logged).not.toContain(COLLECTOR_SECRET);
  });

  it('come with one request id in the logs of both', async () => {
    const called = agent.logLines.find((line) => 'method' in line && line.method === METHOD);
    expect(called).toMatchObject({ msg: 'called the server', request_id: expect.any(String) as string });
    const { request_id: id } = called as unknown as { readonly request_id: string };
    await waitFor('the same id in the log of the server', () =>
      readFileSync(server.directory.join('server.log'), 'utf8')
        .split('\n')
        .some((line) => line.includes(`"caller_request_id":"${id}"`) && line.includes(METHOD)),
    );
  });
});

function valueOf({ attributes }: Pick<SentSpan, 'attributes'>, name: string): unknown {
  const value = attributes.find(({ key }) => key === name)?.value;
  return value === undefined ? undefined : Object.values(value)[0];
}

function traceOf(all: readonly SentSpan[], name: string): string | undefined {
  return all.find((span) => span.name === name)?.traceId;
}
