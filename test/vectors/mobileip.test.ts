import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { fromHex, toHex, type Writer } from '../../src/core/index.ts';
import {
  authenticate,
  emitRegistrationReply,
  emitRegistrationRequest,
  isAuthentic,
  ofKind,
  parseRegistrationReply,
  parseRegistrationRequest,
} from '../../src/mobileip/index.ts';
import { hmac } from '../support/mobileip.ts';

interface Vector {
  readonly name: string;
  readonly spi: number;
  readonly key: string;
  readonly message: string;
  readonly authenticator_hmac_md5: string;
  readonly authenticator_md5_prefix_suffix_rfc2002: string;
}
const { vectors } = JSON.parse(readFileSync(new URL('mobileip.json', import.meta.url), 'utf8')) as {
  vectors: readonly Vector[];
};

describe.each(vectors)('$name', (vector) => {
  const octets = fromHex(vector.message);
  const association = {
    spi: vector.spi,
    algorithm: 'hmac-md5',
    key: fromHex(vector.key),
    replay: 'timestamp',
  } as const;
  const parse = () => (octets[0] === 1 ? parseRegistrationRequest(octets) : parseRegistrationReply(octets));

  test('its HMAC-MD5 authenticator verifies (RFC 5944 section 3.5.1)', () => {
    const parsed = parse();
    if (!parsed.ok) throw new Error(parsed.reason);
    const [extension] = ofKind(parsed.value.extensions, 'authentication');
    expect(toHex(extension!.authenticator)).toBe(vector.authenticator_hmac_md5);
    expect(isAuthentic(octets, extension!, association, hmac)).toBe(true);
  });

  test('the same fields give the same octets', () => {
    const parsed = octets[0] === 1 ? parseRegistrationRequest(octets) : undefined;
    let writer: Writer;
    if (parsed?.ok === true) writer = emitRegistrationRequest(parsed.value);
    else {
      const reply = parseRegistrationReply(octets);
      if (!reply.ok) throw new Error(reply.reason);
      writer = emitRegistrationReply(reply.value);
    }
    authenticate(writer, 32, association, hmac);
    expect(toHex(writer.finish())).toBe(vector.message);
  });

  test("RFC 2002's keyed MD5 (prefix and suffix) is not taken for it", () => {
    const old = fromHex(vector.message.slice(0, -32) + vector.authenticator_md5_prefix_suffix_rfc2002);
    const parsed = old[0] === 1 ? parseRegistrationRequest(old) : parseRegistrationReply(old);
    if (!parsed.ok) throw new Error(parsed.reason);
    expect(isAuthentic(old, ofKind(parsed.value.extensions, 'authentication')[0]!, association, hmac)).toBe(false);
  });
});
