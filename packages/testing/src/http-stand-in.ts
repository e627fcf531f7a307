/** A plain HTTP server in the place of a cloud's API: what it is asked is recorded, what it answers is the test's to say. */
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface StandInRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface StandInAnswer {
  readonly status?: number;
  readonly body: string | Buffer;
}

export interface HttpStandIn {
  readonly url: URL;
  readonly requests: readonly StandInRequest[];
  stop(): Promise<void>;
}

/** @param answer undefined: it never comes. */
export async function startHttpStandIn(
  answer: (request: StandInRequest) => StandInAnswer | undefined,
): Promise<HttpStandIn> {
  const requests: StandInRequest[] = [];
  const server = createServer((incoming, response) => {
    void readBody(incoming).then((body) => {
      const { method = '', url: path = '', headers } = incoming;
      const request = { method, path, headers, body };
      requests.push(request);
      const made = answer(request);
      if (made !== undefined) response.writeHead(made.status ?? 200).end(made.body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: new URL(`http://127.0.0.1:${port}/`),
    requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

async function readBody(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of incoming) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
