response = client.chat.completions.create(
    model="meta-llama/Llama-3.1-8B-Instruct",
    messages=[
        {"role": "system", "content": "Extract product information from the user's message."},
        {"role": "user", "content": "I want to buy 3 apples at $2 each"}
    ],
    response_format={
        "type": "json_schema",
        "json_schema": {
            "name": "product_order",
            "strict": True,
            "schema": {
                "type": "object",
                "properties": {
                    "product_name": {"type": "string"},
                    "quantity": {"type": "integer"},
                    "unit_price": {"type": "number"},
                    "total_price": {"type": "number"}
                },
                "required": ["product_name", "quantity", "unit_price", "total_price"]
            }
        }
    }
)
# Output: {"product_name": "apples", "quantity": 3, "unit_price": 2.0, "total_price": 6.0}
