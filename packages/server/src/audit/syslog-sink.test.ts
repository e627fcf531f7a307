import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { encodePem } from '@bonafide/shared/crypto/pem';
import { OID } from '@bonafide/shared/crypto/der/object-identifier';
import { systemClock } from '@bonafide/shared/runtime/clock';
import { SyslogCollector } from '@bonafide/testing/syslog-collector';
import { createTemporaryDirectory } from '@bonafide/testing/temporary-directory';
import { createTestParty, type TestParty } from '@bonafide/testing/test-party';
import { describe, expect, it } from 'vitest';
import { exampleEvent } from './audit-fixtures.js';
import { GENESIS, sealEvent, type AuditLine } from './audit-record.js';
import { SyslogSink } from './syslog-sink.js';

const CONFIG = {
  ...{
    required: true,
    facility: 13,
    path: undefined,
    host: '127.0.0.1',
    port: undefined,
    ca_path: undefined,
  },
} as const;
const HEADER =
  /^<109>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [\x21-\x7e]+ bonafide-server \d+ x509_svid_issued - /;

function line(seq = 1): AuditLine {
  return sealEvent(exampleEvent(seq), new Date(), { serverId: 'one', seq, prev: GENESIS });
}

describe('syslog', () => {
  it('takes messages over TCP, counted in octets, and connects again when the other side went away', async () => {
    await using collector = await SyslogCollector.listen({ port: 0, host: '127.0.0.1' });
    const { port } = collector;
    const sink = new SyslogSink({ ...CONFIG, transport: 'tcp', port }, systemClock);
    const lines = [line(1), line(2)];
    await sink.write(lines);
    const messages = await collector.messages(2);
    expect(messages[0]).toMatch(HEADER);
    expect(messages.map((message) => message.split('\ufeff')[1])).toEqual(lines.map(({ text }) => text));
    collector.disconnect();
    await expect
      .poll(
        async () => {
          await sink.write([line(3)]).catch(() => undefined);
          return collector.received.join().includes('request-3');
        },
        { timeout: 60_000 },
      )
      .toBe(true);
    await sink.close();
  });

  it('takes messages over a Unix stream', async () => {
    using directory = createTemporaryDirectory();
    const path = directory.join('log.sock');
    await using collector = await SyslogCollector.listen({ path });
    const sink = new SyslogSink({ ...CONFIG, transport: 'unix', path }, systemClock);
    await sink.write([line()]);
    expect((await collector.messages(1))[0]).toMatch(HEADER);
    await sink.close();
  });

  it('takes one datagram for each message over UDP', async () => {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    const received: string[] = [];
    socket.on('message', (message) => received.push(message.toString()));
    const sink = new SyslogSink({ ...CONFIG, transport: 'udp', port: socket.address().port }, systemClock);
    await expect
      .poll(
        async () => {
          await sink.write([line()]);
          return received[0];
        },
        { timeout: 60_000 },
      )
      .toMatch(HEADER);
    await sink.close();
    socket.close();
  });

  describe('over TLS', () => {
    const listener = (
      issuer: TestParty,
      more: { dnsNames?: readonly string[]; notAfter?: Date } = {},
    ): Promise<TestParty> =>
      createTestParty({
        ...{ name: 'log.example.org', issuer, dnsNames: ['localhost'] },
        ...{ extendedKeyUsages: [OID.serverAuth], ...more },
      });

    async function deliveredTo(identity: TestParty, root: TestParty, host = 'localhost'): Promise<string> {
      using directory = createTemporaryDirectory();
      const caPath = directory.join('ca.pem');
      writeFileSync(caPath, encodePem('CERTIFICATE', root.certificate));
      await using collector = await SyslogCollector.listen({ port: 0, host }, identity);
      const { port } = collector;
      const sink = new SyslogSink({ ...CONFIG, host, transport: 'tls', port, ca_path: caPath }, systemClock);
      try {
        await sink.write([line(1), line(2)]);
        return (await collector.messages(2)).join('\n');
      } finally {
        await sink.close();
      }
    }

    it('messages reach the listener that the CA vouches for', async () => {
      const root = await createTestParty({ name: 'log root', isCa: true });
      const messages = await deliveredTo(await listener(root), root);
      expect(messages).toMatch(HEADER);
      expect(messages).toContain('request-2');
    });

    it('nothing is told to a listener of another CA, name or time, or to an address that is not in its certificate', async () => {
      const [root, other] = await Promise.all([
        createTestParty({ name: 'log root', isCa: true }),
        createTestParty({ name: 'log root', isCa: true }),
      ]);
      const past = new Date(systemClock.now().getTime() - 60_000);
      const [own, ofOther, misnamed, expired] = await Promise.all([
        listener(root),
        listener(other),
        listener(root, { dnsNames: ['elsewhere.example.org'] }),
        listener(root, { notAfter: past }),
      ]);
      await expect(deliveredTo(ofOther, root)).rejects.toThrow(/signature|certificate/);
      await expect(deliveredTo(misnamed, root)).rejects.toThrow(/does not match certificate's altnames/);
      await expect(deliveredTo(expired, root)).rejects.toThrow(/expired/);
      await expect(deliveredTo(own, root, '127.0.0.1')).rejects.toThrow(/IP: 127\.0\.0\.1 is not in/);
    });
  });

  it('that nobody serves says so', async () => {
    const sink = new SyslogSink({ ...CONFIG, transport: 'tcp', port: 1 }, systemClock);
    await expect(sink.write([line()])).rejects.toThrow(/ECONNREFUSED/);
    await sink.close();
  });
});
