// Sends telemetry packets with rising counts at a rate: node packet-sender.mjs PORT TOTAL PER_SECOND HEX. Prints the rate it reached.
import { createSocket } from 'node:dgram';

const [, , port, total, perSecond, hex] = process.argv;
const socket = createSocket('udp4');
const template = Buffer.from(hex, 'hex');
socket.connect(Number(port), '127.0.0.1', () => {
  const started = process.hrtime.bigint();
  let sent = 0;
  const turn = () => {
    const due = Math.min(
      Number(total),
      Math.floor((Number(process.hrtime.bigint() - started) / 1e9) * Number(perSecond)),
    );
    while (sent < due) {
      const packet = Buffer.from(template);
      packet.writeUInt16BE(0xc000 | (sent % 16_384), 2);
      packet.writeUInt32BE(Math.floor(sent / 65_536), 6);
      packet.writeUInt16BE(sent % 65_536, 10);
      sent++;
      if (sent === Number(total)) {
        const rate = sent / (Number(process.hrtime.bigint() - started) / 1e9);
        socket.send(packet, () => {
          process.stdout.write(`${rate}\n`);
          socket.close();
        });
        return;
      }
      socket.send(packet);
    }
    setTimeout(turn, 1);
  };
  turn();
});
