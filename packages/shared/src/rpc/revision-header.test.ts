import { Metadata } from '@grpc/grpc-js';
import { expect, it } from 'vitest';
import { revisionsIn, sendRevisions } from './revision-header.js';

function sent(revisions: readonly (number | undefined)[]): Metadata | undefined {
  let headers: Metadata | undefined;
  sendRevisions({ sendMetadata: (metadata) => (headers = metadata) }, revisions);
  return headers;
}

it('carries the revisions of a write', () => {
  expect(revisionsIn(sent([7]) ?? new Metadata())).toEqual([7]);
  expect(revisionsIn(sent([7, undefined, 9]) ?? new Metadata())).toEqual([7, 9]);
});

it('sends no header when nothing was committed', () => {
  expect(sent([])).toBeUndefined();
  expect(sent([undefined])).toBeUndefined();
});

it('keeps the newest of very many', () => {
  const many = Array.from({ length: 2_000 }, (_, index) => index + 1);
  const received = revisionsIn(sent(many) ?? new Metadata());
  expect(received).toHaveLength(500);
  expect(received.at(-1)).toBe(2_000);
});

it.each(['', 'x', '-1', '1,', '1;2', '1'.repeat(17), '0', '9007199254740993'])(
  'hears nothing in a header that says %j',
  (value) => {
    const headers = new Metadata();
    headers.set('bonafide-revision', value);
    expect(revisionsIn(headers)).toEqual([]);
  },
);
