/** A raw SMTP client for tests: says octets, waits for replies by condition. Nothing sleeps. */
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export class Talk {
  #socket: Socket;
  #received = '';
  #wake: () => void = () => {};
  closed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#listen();
  }

  #listen(): void {
    this.#socket.on('data', (octets) => {
      this.#received += octets.toString('latin1');
      this.#wake();
    });
    this.#socket.on('error', () => {});
    this.#socket.on('close', () => {
      this.closed = true;
      this.#wake();
    });
  }

  /** @param from which of the loopback addresses it comes. */
  static async open(port: number, from = '127.0.0.1'): Promise<Talk> {
    const talk = new Talk(connect({ port, host: '127.0.0.1', localAddress: from }));
    await talk.until(/^220 .*\r\n/);
    return talk;
  }

  /** Everything received since the last match, once it matches; on a closed connection, whatever came. */
  async until(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.#received);
      if (match !== null || this.closed) {
        const end = match === null ? this.#received.length : match.index + match[0].length;
        const text = this.#received.slice(0, end);
        this.#received = this.#received.slice(end);
        return text;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  write(text: string): void {
    this.#socket.write(Buffer.from(text, 'latin1'));
  }

  /** Says a line and returns the whole reply to it. */
  async say(line: string): Promise<string> {
    this.write(`${line}\r\n`);
    return this.reply();
  }

  reply(): Promise<string> {
    return this.until(/^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/);
  }

  async startTls(): Promise<void> {
    const plain = this.#socket;
    plain.removeAllListeners();
    this.#socket = await new Promise<Socket>((resolve, reject) => {
      const secure = connectTls({ socket: plain, rejectUnauthorized: false }, () => resolve(secure));
      secure.once('error', reject);
    });
    this.#listen();
  }

  /** Ends behind what was written. */
  finish(): void {
    this.#socket.end();
  }

  end(): void {
    this.#socket.destroy();
  }
}
