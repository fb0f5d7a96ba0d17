"""The two readers agree on what a reference is."""

import unittest

import sam
import tf


class Reading(unittest.TestCase):
    def test_references(self):
        template = sam.Template()
        self.assertEqual(template.plain({"Fn::Sub": "${Table.Arn}/index/due"}), "${Table.arn}/index/due")
        self.assertEqual(tf.plain('"${aws_dynamodb_table.Table.arn}/index/due"'), "${Table.arn}/index/due")
        self.assertEqual(template.plain({"Ref": "Jobs"}), tf.plain("${aws_sqs_queue.Jobs.url}"))
        self.assertEqual(template.plain({"Ref": "KmsKeyArn"}), tf.plain("${var.kms_key_arn}"))
        self.assertEqual(tf.plain("${aws_sns_topic_subscription.AlarmMail[0].arn}"), "${AlarmMail.arn}")

    def test_choices(self):
        template = sam.Template()
        choice = template.plain({"Fn::If": ["HasKey", {"Ref": "AWS::NoValue"}, True]})
        self.assertEqual(choice, {"if": "HasKey", "then": None, "else": True})
        self.assertEqual(tf.plain("${local.HasKey ? null : true}"), choice)

    def test_objects_and_calls(self):
        encoded = '${jsonencode({"a": aws_sqs_queue.Jobs.arn, b = [1, "x"]})}'
        self.assertEqual(tf.plain(encoded), {"a": "${Jobs.arn}", "b": [1, "x"]})

    def test_what_is_not_understood_is_refused(self):
        with self.assertRaises(ValueError):
            tf.plain("${1 + 2}")
