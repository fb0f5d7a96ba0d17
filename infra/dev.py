"""The service on this machine for development: emulator, simulator, both functions with hot reload, and the clock.

Started by `make dev` (infra/dev). moto plays AWS, `cargo lambda watch` runs the functions and rebuilds them when their
code changes, and this program is the schedule and the queue's event source. It is not as faithful as the harness of
tests/aws: moto's DynamoDB forgives what the real one refuses. Ctrl-C ends everything.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

import boto3

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/deploy"))
from sam import Template  # noqa: E402

AWS_PORT, LAMBDA_PORT, SIMULATOR_PORT = 7050, 7060, 7070
TICK_SECONDS = int(os.environ.get("DEV_TICK_SECONDS", "10"))
SERVICE = "fitbridge"


def filled(value, known):
    """A value of the template's common notation with everything put in."""
    if isinstance(value, dict) and value.keys() >= {"if", "then", "else"}:
        return filled(value["else"], known)  # no key of one's own, no keyring
    if isinstance(value, dict):
        return {key: filled(item, known) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, known) for item in value]
    if isinstance(value, str):
        for name, text in known.items():
            value = value.replace(f"${{{name}}}", str(text))
    return value


def make_stores(template, known):
    """Table, bucket and queues as the template describes them."""
    table = filled(template.resource("Table"), known)
    allowed = ("TableName", "BillingMode", "AttributeDefinitions", "KeySchema", "GlobalSecondaryIndexes")
    boto3.client("dynamodb").create_table(**{key: table[key] for key in allowed})
    bucket = filled(template.resource("Bucket"), known)["BucketName"]
    where = {"LocationConstraint": os.environ["AWS_REGION"]}
    boto3.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    sqs = boto3.client("sqs")
    dead = filled(template.resource("JobsDeadLetters"), known)["QueueName"]
    dead = sqs.create_queue(QueueName=dead)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    jobs = filled(template.resource("Jobs"), known)
    redrive = {"deadLetterTargetArn": arn, "maxReceiveCount": jobs["RedrivePolicy"]["maxReceiveCount"]}
    # A crashed sink is worth waiting for, but not for twelve minutes.
    attributes = {"VisibilityTimeout": "60", "RedrivePolicy": json.dumps(redrive)}
    url = sqs.create_queue(QueueName=jobs["QueueName"], Attributes=attributes)["QueueUrl"]
    return {"Table.name": table["TableName"], "Bucket.name": bucket, "Jobs.url": url}


def invoke(function, event):
    """Calls a function; its answer, or None with a line where it failed."""
    url = f"http://127.0.0.1:{LAMBDA_PORT}/2015-03-31/functions/{function}/invocations"
    request = urllib.request.Request(url, json.dumps(event).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=600) as answer:
            return json.loads(answer.read() or b"null")
    except (urllib.error.URLError, OSError, ValueError) as error:
        detail = error.read().decode(errors="replace")[:300] if hasattr(error, "read") else ""
        print(f"dev: {function}: {error} {detail}", flush=True)
        return None


def drain(sqs, url):
    """Hands what is in the queue to the sink and deletes what it finished; how many that were."""
    messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get("Messages", [])
    if not messages:
        return 0
    records = [
        {"messageId": its["MessageId"], "body": its["Body"], "receiptHandle": its["ReceiptHandle"], "eventSource": "aws:sqs"}
        for its in messages
    ]
    answer = invoke("sink", {"Records": records})
    if answer is None:
        return 0
    failed = {its["itemIdentifier"] for its in answer.get("batchItemFailures", [])}
    for its in messages:
        if its["MessageId"] not in failed:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=its["ReceiptHandle"])
    return len(messages) - len(failed)


def main():
    """Starts everything, then ticks until Ctrl-C."""
    lambda_tools = pathlib.Path(sys.argv[1])
    os.environ |= {
        "AWS_REGION": "eu-central-1",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "dev",
        "AWS_SECRET_ACCESS_KEY": "dev",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{AWS_PORT}",
    }
    running = []

    def start(*command, **options):
        running.append(subprocess.Popen(command, cwd=ROOT, start_new_session=True, **options))
        return running[-1]

    try:
        start(str(pathlib.Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(AWS_PORT),
              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        simulator = start("target/debug/fitbridge", "simulator", "--json", "--port", str(SIMULATOR_PORT),
                          "--home", "target/dev", stdout=subprocess.PIPE, text=True)
        told = json.loads(simulator.stdout.readline())
        if told["type"] != "simulator":
            sys.exit(f"dev: the simulator did not start: {told}")
        wait_for(f"http://127.0.0.1:{AWS_PORT}/moto-api/")

        template = Template()
        known = {f"param.{name}": its.get("Default", "none") for name, its in template.parameters.items()}
        known |= {"account": "123456789012", "region": os.environ["AWS_REGION"], "partition": "aws"}
        known |= make_stores(template, known)
        environment = filled(template.globals["Environment"]["Variables"], known)
        environment = {name: str(value) for name, value in environment.items() if name.startswith("FITBRIDGE_")}
        environment |= dict(told["help"]["environment"]) | {"FITBRIDGE_REQUESTS_PER_SECOND": "0"}
        start("cargo", "lambda", "watch", "-A", "127.0.0.1", "-P", str(LAMBDA_PORT),
              env=os.environ | environment | {"PATH": f"{lambda_tools}:{os.environ['PATH']}"})

        for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            print(f"export {name}={os.environ[name]}")
        for name, value in environment.items():
            if value:
                print(f"export {name}={value}")
        print(f"dev: a tick every {TICK_SECONDS} s; iGPSport token: {told['help']['token']}", flush=True)
        sqs, next_tick = boto3.client("sqs"), time.monotonic()
        while True:
            if time.monotonic() >= next_tick:
                next_tick = time.monotonic() + TICK_SECONDS
                answer = invoke("poller", {"shard": 0})
                print(f"dev: tick {json.dumps(answer)}", flush=True)
            if done := drain(sqs, known["Jobs.url"]):
                print(f"dev: the sink finished {done} jobs", flush=True)
    except KeyboardInterrupt:
        pass
    finally:
        for its in reversed(running):
            # A watcher has children of its own.
            if its.poll() is None:
                os.killpg(its.pid, signal.SIGTERM)


def wait_for(url):
    """Until something answers there."""
    for _ in range(150):
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    sys.exit(f"dev: nothing answers at {url}")


if __name__ == "__main__":
    # A terminated program stops its children too.
    signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    main()
