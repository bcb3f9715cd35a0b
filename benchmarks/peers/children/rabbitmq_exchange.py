"""Run by the Python of the peer's own environment: publish with confirms, consume with acknowledgements.

Several publishers work at once, so that the broker can write the messages of many in one go.
"""

import json
import os
import sys
import threading
import time

import pika

PORT, COUNT, SIZE = map(int, sys.argv[1:4])
QUEUE, WINDOW, PUBLISHERS = "bench", 64, 16


def connection() -> pika.BlockingConnection:
    return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", PORT))


def consume(done: threading.Event) -> None:
    with connection() as mine:
        channel = mine.channel()
        channel.basic_qos(prefetch_count=WINDOW)
        for taken, (method, _properties, _body) in enumerate(channel.consume(QUEUE), 1):
            channel.basic_ack(method.delivery_tag)
            if taken == COUNT:
                break
        channel.cancel()
    done.set()


def publish(count: int, body: bytes) -> None:
    with connection() as mine:
        channel = mine.channel()
        channel.confirm_delivery()
        for _ in range(count):
            # Returns when the broker has it on disk.
            channel.basic_publish("", QUEUE, body, pika.BasicProperties(delivery_mode=2))


def main() -> None:
    body, done = os.urandom(SIZE), threading.Event()
    with connection() as mine:
        mine.channel().queue_declare(QUEUE, durable=True)
    shares = [COUNT // PUBLISHERS + (number < COUNT % PUBLISHERS) for number in range(PUBLISHERS)]
    threads = [threading.Thread(target=publish, args=(share, body), daemon=True) for share in shares]
    threads.append(threading.Thread(target=consume, args=(done,), daemon=True))
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    if not done.wait(300):
        sys.exit("not everything arrived")
    print(json.dumps({"per_s": COUNT / (time.perf_counter() - began)}))


main()
